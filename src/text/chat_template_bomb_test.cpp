// Template bombs: templates that would take hours, or more memory than there is, stop at a limit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/clock.h"
#include "text/chat_template.h"

namespace millrace {
namespace {

struct Bomb {
  std::string_view name;
  std::string_view source;
};

// Most repeat one operation on a large value in two loops: each operation must pay for its work.
constexpr Bomb kBombs[] = {
    {"repeat", "{{ 'a' * 10**9 }}"},
    {"repeat2", "{{ ('a' * 10**6) * 10**6 }}"},
    {"list repeat", "{{ [0] * 10**12 }}"},
    {"list repeat2", "{{ [[0] * 1000] * 10**7 }}"},
    {"range", "{{ range(10**9) }}"},
    {"nested loops",
     "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"},
    {"output",
     "{% for a in range(99999) %}{% for b in range(999) %}xxxxxxxxxxxxxxxx{% endfor %}{% "
     "endfor %}"},
    {"output big", "{% set s = 'x' * 60000000 %}{% for a in range(99999) %}{{ s }}{% endfor %}"},
    {"output captured",
     "{% for a in range(99999) %}{% set y %}{{ 'x' * 60000000 }}{% endset %}{% endfor %}"},
    {"macro recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"},
    {"macro tree", "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}"},
    {"macro tree bounded",
     "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) "
     "}}"},
    {"recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"},
    {"recursive loop tree",
     "{% for x in [1, 2] recursive %}{% if loop.depth < 40 %}{{ loop([1, 2]) }}{% endif "
     "%}{% endfor %}"},
    {"caller",
     "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% macro r(n) %}{% if n "
     "%}{% call m() %}{{ r(n-1) }}{% endcall %}{% endif %}{% endmacro %}{{ r(100) }}"},
    {"doubling ~",
     "{% set n = namespace(x='x') %}{% for i in range(99999) %}{% set n.x = n.x ~ n.x "
     "%}{% endfor %}"},
    {"doubling +",
     "{% set n = namespace(x='x') %}{% for i in range(99999) %}{% set n.x = n.x + n.x "
     "%}{% endfor %}"},
    {"append",
     "{% set n = namespace(x='') %}{% for i in range(99999) %}{% set n.x = n.x ~ 'y' * "
     "1000 %}{% endfor %}"},
    {"append list",
     "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = n.x + [i] %}{% "
     "endfor %}"},
    {"nesting",
     "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% "
     "endfor %}"},
    {"laughs str",
     "{% set n = namespace(x=[]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] %}{% "
     "endfor %}{{ n.x }}"},
    {"laughs json",
     "{% set n = namespace(x=[]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] %}{% "
     "endfor %}{{ n.x|tojson }}"},
    {"laughs eq",
     "{% set n = namespace(x=[], y=[]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] "
     "%}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}"},
    {"laughs lt",
     "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(90) %}{% set n.x = [n.x, "
     "n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x < n.y }}"},
    {"laughs dict",
     "{% set n = namespace(x={}) %}{% for i in range(90) %}{% set n.x = {'a': n.x, 'b': "
     "n.x} %}{% endfor %}{{ n.x|tojson(indent=2) }}"},
    {"laughs items",
     "{% set n = namespace(x={}) %}{% for i in range(90) %}{% set n.x = {'a': n.x, 'b': "
     "n.x} %}{% endfor %}{{ n.x.items() }}"},
    {"laughs in",
     "{% set n = namespace(x=[]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] %}{% "
     "endfor %}{{ [n.x] in [[n.x]] }}"},
    {"memory",
     "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = n.x + ['y' * "
     "99999] %}{% endfor %}"},
    {"memory ints",
     "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = n.x + "
     "range(1000)|list %}{% endfor %}"},
    {"memory dicts",
     "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = n.x + "
     "[dict(a=1,b=2)] %}{% endfor %}"},
    {"cycle", "{% set n = namespace() %}{% set n.n = n %}{{ n }}"},
    {"percent width", "{{ '%999999999d' % 1 }}"},
    {"percent star", "{{ '%*d' % (999999999, 1) }}"},
    {"percent prec", "{{ '%.999999999f' % 1 }}"},
    {"percent many", "{{ ('%9999d' * 100000) % ((1,) * 100000) }}"},
    {"brace width", "{{ '{:999999999}'.format(1) }}"},
    {"brace zero", "{{ '{:0999999999}'.format(1) }}"},
    {"brace prec", "{{ '{:.999999f}'.format(0.1) }}"},
    {"brace many", "{{ ('{0:9999}' * 100000).format(1) }}"},
    {"center", "{{ 'x'|center(10**10) }}"},
    {"ljust", "{{ 'x'.ljust(10**10) }}"},
    {"zfill", "{{ 'x'.zfill(10**10) }}"},
    {"expandtabs", "{{ ('\\t' * 1000).expandtabs(10**9) }}"},
    {"replace empty", "{{ ('a' * 10**6)|replace('', 'b' * 10**6) }}"},
    {"replace grow",
     "{% set n = namespace(x='aa') %}{% for i in range(99999) %}{% set n.x = "
     "n.x|replace('a', 'aaaaaaaa') %}{% endfor %}"},
    {"split", "{{ ('a b ' * 10**6).split() * 100 }}"},
    {"list of text", "{{ ('ab' * 10**7)|list }}"},
    {"json indent", "{{ [1]|tojson(indent=10**10) }}"},
    {"json indent deep",
     "{% set n = namespace(x=[1]) %}{% for i in range(150) %}{% set n.x = [n.x] %}{% "
     "endfor %}{% for i in range(99999) %}{% set y = n.x|tojson(indent=99999) %}{% endfor "
     "%}"},
    {"indent", "{{ 'a\\nb'|indent(10**10) }}"},
    {"indent lines", "{{ ('a\\n' * 10**6)|indent(10**5) }}"},
    {"batch", "{{ [1]|batch(10**12, 0)|list }}"},
    {"slice filter", "{{ [1]|slice(10**12)|list }}"},
    {"generators",
     "{% set n = namespace(x=[1]) %}{% for i in range(999) %}{% set n.x = "
     "n.x|map('string') %}{% endfor %}{{ n.x|list }}"},
    {"strftime", "{{ strftime_now('%c' * 10**6) }}"},
    {"strftime width", "{{ strftime_now('%1000d' * 10**6) }}"},
    {"urlencode", "{{ ('é' * 10**7)|urlencode|urlencode|urlencode }}"},
    {"escape",
     "{% set n = namespace(x='<' * 60000000) %}{% for i in range(99999) %}{% set y = "
     "n.x|escape %}{% endfor %}"},
    {"forceescape",
     "{% set n = namespace(x='<' * 10000000) %}{% for i in range(99999) %}{% set n.x = "
     "n.x|forceescape %}{% endfor %}"},
    {"markup add",
     "{% set m = 'x'|safe %}{% for i in range(99999) %}{% set y = m + '<' * 10000000 %}{% "
     "endfor %}"},
    {"markup join",
     "{% set m = 'x'|safe %}{% for i in range(99999) %}{% set y = m.join(['<' * 10000000] "
     "* 3) %}{% endfor %}"},
    {"xmlattr",
     "{% set d = {'a': '<' * 10000000} %}{% for i in range(99999) %}{% set y = d|xmlattr "
     "%}{% endfor %}"},
    {"truncate",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|truncate(999999) %}{% endif %}{% endfor %}{% endfor %}"},
    {"in text",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if ('a' * 200 ~ 'b') in s %}{% endif %}{% endfor %}{% endfor %}"},
    {"in text needle",
     "{% set s = 'a' * 1000000 %}{% set q = 'a' * 250 ~ 'b' %}{% for i in range(99999) "
     "%}{% for j in range(99999) %}{% if q in s %}{% endif %}{% endfor %}{% endfor %}"},
    {"in text needle2",
     "{% set s = 'a' * 1000000 %}{% set q = 'b' ~ 'a' * 250 %}{% for i in range(99999) "
     "%}{% for j in range(99999) %}{% if q in s %}{% endif %}{% endfor %}{% endfor %}"},
    {"in text needle3",
     "{% set s = 'a' * 1000000 %}{% set q = 'a' * 5000 ~ 'b' %}{% for i in range(99999) "
     "%}{% for j in range(99999) %}{% if q in s %}{% endif %}{% endfor %}{% endfor %}"},
    {"in text needle4",
     "{% set s = 'ab' * 500000 %}{% set q = 'ab' * 60 ~ 'b' ~ 'ab' * 60 %}{% for i in "
     "range(99999) %}{% for j in range(99999) %}{% if q in s %}{% endif %}{% endfor %}{% "
     "endfor %}"},
    {"in text short",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if 'b' in s %}{% endif %}{% endfor %}{% endfor %}"},
    {"find",
     "{% set s = 'a' * 1000000 %}{% set q = 'a' * 250 ~ 'b' %}{% for i in range(99999) "
     "%}{% for j in range(99999) %}{% if s.find(q) %}{% endif %}{% endfor %}{% endfor %}"},
    {"rfind",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.rfind('ba') %}{% endif %}{% endfor %}{% endfor %}"},
    {"count",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.count('a') %}{% endif %}{% endfor %}{% endfor %}"},
    {"count utf",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.count('b') %}{% endif %}{% endfor %}{% endfor %}"},
    {"replace",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.replace('a', 'b') %}{% endif %}{% endfor %}{% endfor %}"},
    {"replace none",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.replace('ab', 'b') %}{% endif %}{% endfor %}{% endfor %}"},
    {"split many",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.split('a') %}{% endif %}{% endfor %}{% endfor %}"},
    {"rsplit",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.rsplit('b') %}{% endif %}{% endfor %}{% endfor %}"},
    {"splitlines",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.splitlines() %}{% endif %}{% endfor %}{% endfor %}"},
    {"split space",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.split() %}{% endif %}{% endfor %}{% endfor %}"},
    {"partition",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.partition('b') %}{% endif %}{% endfor %}{% endfor %}"},
    {"strip",
     "{% set s = ' ' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.strip() %}{% endif %}{% endfor %}{% endfor %}"},
    {"strip chars",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.strip('ab') %}{% endif %}{% endfor %}{% endfor %}"},
    {"strip set",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if 'x'.strip(s) %}{% endif %}{% endfor %}{% endfor %}"},
    {"lower",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|lower %}{% endif %}{% endfor %}{% endfor %}"},
    {"lower utf",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|lower %}{% endif %}{% endfor %}{% endfor %}"},
    {"title",
     "{% set s = 'é-' * 500000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|title %}{% endif %}{% endfor %}{% endfor %}"},
    {"title method",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.title() %}{% endif %}{% endfor %}{% endfor %}"},
    {"casefold",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.casefold() %}{% endif %}{% endfor %}{% endfor %}"},
    {"capitalize",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|capitalize %}{% endif %}{% endfor %}{% endfor %}"},
    {"isalpha",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.isalpha() %}{% endif %}{% endfor %}{% endfor %}"},
    {"islower",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s is lower %}{% endif %}{% endfor %}{% endfor %}"},
    {"isidentifier",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.isidentifier() %}{% endif %}{% endfor %}{% endfor %}"},
    {"length",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|length %}{% endif %}{% endfor %}{% endfor %}"},
    {"reverse text",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|reverse %}{% endif %}{% endfor %}{% endfor %}"},
    {"slice text",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s[::2] %}{% endif %}{% endfor %}{% endfor %}"},
    {"slice utf",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s[1:] %}{% endif %}{% endfor %}{% endfor %}"},
    {"index utf",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s[999999] %}{% endif %}{% endfor %}{% endfor %}"},
    {"last utf",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|last %}{% endif %}{% endfor %}{% endfor %}"},
    {"iterate text", "{% set s = 'é' * 20000000 %}{% for c in s %}{% endfor %}"},
    {"text to list",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"json text",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|tojson %}{% endif %}{% endfor %}{% endfor %}"},
    {"json text quotes",
     "{% set s = '\"' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if s|tojson %}{% endif %}{% endfor %}{% endfor %}"},
    {"json ascii",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|tojson(ensure_ascii=true) %}{% endif %}{% endfor %}{% endfor %}"},
    {"repr text",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if ([s] ~ '') %}{% endif %}{% endfor %}{% endfor %}"},
    {"urlencode many",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|urlencode %}{% endif %}{% endfor %}{% endfor %}"},
    {"wordcount",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|wordcount %}{% endif %}{% endfor %}{% endfor %}"},
    {"float text",
     "{% set s = '1' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|float %}{% endif %}{% endfor %}{% endfor %}"},
    {"int spaces",
     "{% set s = ' ' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|int %}{% endif %}{% endfor %}{% endfor %}"},
    {"int zeros",
     "{% set s = '0' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|int %}{% endif %}{% endfor %}{% endfor %}"},
    {"int base",
     "{% set s = '0x' ~ '0' * 1000000 %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if s|int(0, 0) %}{% endif %}{% endfor %}{% endfor %}"},
    {"equal text",
     "{% set s = 'a' * 1000000 %}{% set q = 'a' * 1000000 %}{% for i in range(99999) %}{% "
     "for j in range(99999) %}{% if s == q %}{% endif %}{% endfor %}{% endfor %}"},
    {"less text",
     "{% set s = 'a' * 1000000 %}{% set q = 'a' * 1000000 %}{% for i in range(99999) %}{% "
     "for j in range(99999) %}{% if s < q %}{% endif %}{% endfor %}{% endfor %}"},
    {"startswith",
     "{% set s = 'a' * 1000000 %}{% set q = 'a' * 1000000 %}{% for i in range(99999) %}{% "
     "for j in range(99999) %}{% if s.startswith(q) %}{% endif %}{% endfor %}{% endfor %}"},
    {"startswith tuple",
     "{% set s = 'a' * 1000000 %}{% set q = ('b',) * 100000 %}{% for i in range(99999) "
     "%}{% for j in range(99999) %}{% if s.startswith(q) %}{% endif %}{% endfor %}{% "
     "endfor %}"},
    {"removeprefix",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.removeprefix('b') %}{% endif %}{% endfor %}{% endfor %}"},
    {"concat many",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s ~ 'x' %}{% endif %}{% endfor %}{% endfor %}"},
    {"plus many",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s + 'x' %}{% endif %}{% endfor %}{% endfor %}"},
    {"fmt s",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if '%s' % s %}{% endif %}{% endfor %}{% endfor %}"},
    {"fmt brace",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if '{}'.format(s) %}{% endif %}{% endfor %}{% endfor %}"},
    {"fmt open",
     "{% set s = '{' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.format(1) %}{% endif %}{% endfor %}{% endfor %}"},
    {"fmt brace doubles",
     "{% set s = '{{' * 500000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.format(1) %}{% endif %}{% endfor %}{% endfor %}"},
    {"strftime many",
     "{% set s = '%d' * 100000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if strftime_now(s) %}{% endif %}{% endfor %}{% endfor %}"},
    {"strftime flags",
     "{% set s = '%' ~ '-' * 100000 %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if strftime_now(s) %}{% endif %}{% endfor %}{% endfor %}"},
    {"strftime c",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if "
     "strftime_now('%c%c%c%c%c%c%c%c%c%c') %}{% endif %}{% endfor %}{% endfor %}"},
    {"list slice",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l[1:] %}{% endif %}{% endfor %}{% endfor %}"},
    {"list reverse",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|reverse %}{% endif %}{% endfor %}{% endfor %}"},
    {"list plus",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l + l %}{% endif %}{% endfor %}{% endfor %}"},
    {"list eq",
     "{% set l = range(50000)|list %}{% set m = range(50000)|list %}{% for i in "
     "range(99999) %}{% for j in range(99999) %}{% if l == m %}{% endif %}{% endfor %}{% "
     "endfor %}"},
    {"in list",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if -1 in l %}{% endif %}{% endfor %}{% endfor %}"},
    {"in list text",
     "{% set l = ['a'] * 50000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if 'b' in l %}{% endif %}{% endfor %}{% endfor %}"},
    {"list count",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l.count(-1) %}{% endif %}{% endfor %}{% endfor %}"},
    {"list index",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l.index(49999) %}{% endif %}{% endfor %}{% endfor %}"},
    {"sort",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|sort(reverse=true) %}{% endif %}{% endfor %}{% endfor %}"},
    {"sort text",
     "{% set w = ('a ' * 100000).split() %}{% set l = w %}{% for i in range(99999) %}{% "
     "for j in range(99999) %}{% if l|sort %}{% endif %}{% endfor %}{% endfor %}"},
    {"sort long text",
     "{% set l = ['a' * 10000] * 1000 %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if l|sort %}{% endif %}{% endfor %}{% endfor %}"},
    {"sort attr",
     "{% set l = [{}] * 1000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if l|sort(attribute='a,b,c,d') %}{% endif %}{% endfor %}{% endfor %}"},
    {"sort attr many",
     "{% set l = [{}] * 1000 %}{% set q = 'a,' * 10000 %}{% for i in range(99999) %}{% "
     "for j in range(99999) %}{% if l|sort(attribute=q) %}{% endif %}{% endfor %}{% "
     "endfor %}"},
    {"min",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|min %}{% endif %}{% endfor %}{% endfor %}"},
    {"max text",
     "{% set l = ['A' * 10000] * 1000 %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if l|max %}{% endif %}{% endfor %}{% endfor %}"},
    {"unique",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|unique|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"unique text",
     "{% set l = ['A' * 10000] * 1000 %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if l|unique|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"groupby",
     "{% set l = [[1], [2]] * 10000 %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|groupby(0) %}{% endif %}{% endfor %}{% endfor %}"},
    {"dictsort",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if d|dictsort %}{% endif %}{% endfor %}{% endfor %}"},
    {"dict copy",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if d.copy() %}{% endif %}{% endfor %}{% endfor %}"},
    {"dict eq",
     "{% set d = dict.fromkeys(range(20000)) %}{% set e = dict.fromkeys(range(20000)) "
     "%}{% for i in range(99999) %}{% for j in range(99999) %}{% if d == e %}{% endif "
     "%}{% endfor %}{% endfor %}"},
    {"dict items",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if d.items()|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"dict get",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if d.get(5) %}{% endif %}{% endfor %}{% endfor %}"},
    {"dict text keys",
     "{% set q = 'a' * 1000000 %}{% set d = {q: 1, (q ~ 'b'): 2} %}{% for i in "
     "range(99999) %}{% for j in range(99999) %}{% if d.get(q) %}{% endif %}{% endfor "
     "%}{% endfor %}"},
    {"dict text keys big",
     "{% set n = namespace(x=[]) %}{% for i in range(100) %}{% set n.x = n.x + ['a' * "
     "10000 ~ i] %}{% endfor %}{% set d = dict.fromkeys(n.x) %}{% set q = 'a' * 10000 ~ "
     "55 %}{% for i in range(99999) %}{% for j in range(99999) %}{% if d.get(q) %}{% "
     "endif %}{% endfor %}{% endfor %}"},
    {"dict make",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if {'a': 1, 'b': 2, 'c': "
     "3, 'd': 4, 'e': 5, 'f': 6, 'g': 7, 'h': 8, 'i': 9} %}{% endif %}{% endfor %}{% "
     "endfor %}"},
    {"dict json",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if d|tojson(sort_keys=true) %}{% endif %}{% endfor %}{% endfor %}"},
    {"dict str",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if d|string %}{% endif %}{% endfor %}{% endfor %}"},
    {"join",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|join %}{% endif %}{% endfor %}{% endfor %}"},
    {"join sep",
     "{% set s = 'a' * 1000000 %}{% set l = [''] * 50 %}{% for i in range(99999) %}{% for "
     "j in range(99999) %}{% if l|join(s) %}{% endif %}{% endfor %}{% endfor %}"},
    {"map filter",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|map('upper')|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"select",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|select('odd')|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"selectattr",
     "{% set l = [{'a': 1}] * 1000 %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|selectattr('a', 'eq', 1)|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"sum",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|sum %}{% endif %}{% endfor %}{% endfor %}"},
    {"sum lists",
     "{% set l = [[1] * 100] * 1000 %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|sum(start=[]) %}{% endif %}{% endfor %}{% endfor %}"},
    {"batch many",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|batch(2)|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"slice many",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|slice(10000)|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"float print",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if 1.1e300 ~ '' %}{% endif "
     "%}{% endfor %}{% endfor %}"},
    {"float fixed",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if '%.300f' % 1.1e300 %}{% "
     "endif %}{% endfor %}{% endfor %}"},
    {"float fixed wide",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if '%.9999f' % 1.1e300 "
     "%}{% endif %}{% endfor %}{% endfor %}"},
    {"round",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if 1.23456|round(300) %}{% "
     "endif %}{% endfor %}{% endfor %}"},
    {"power",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if 1.0000001 ** 1e9 %}{% "
     "endif %}{% endfor %}{% endfor %}"},
    {"int power",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if 1 ** "
     "9223372036854775807 %}{% endif %}{% endfor %}{% endfor %}"},
    {"calls",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if range(5) %}{% endif "
     "%}{% endfor %}{% endfor %}"},
    {"macro calls",
     "{% macro m(a, b, c, d, e, f, g, h) %}{% endmacro %}{% for i in range(99999) %}{% "
     "for j in range(99999) %}{% if m(1) %}{% endif %}{% endfor %}{% endfor %}"},
    {"varargs",
     "{% macro m() %}{{ varargs|length }}{% endmacro %}{% set l = range(50000)|list %}{% "
     "for i in range(99999) %}{% for j in range(99999) %}{% if m(*l) %}{% endif %}{% "
     "endfor %}{% endfor %}"},
    {"double star",
     "{% macro m() %}{{ kwargs|length }}{% endmacro %}{% set n = namespace(x=[]) %}{% for "
     "i in range(5000) %}{% set n.x = n.x + [['a' ~ i, 1]] %}{% endfor %}{% set d = "
     "dict(n.x) %}{% for i in range(99999) %}{% for j in range(99999) %}{% if m(**d) %}{% "
     "endif %}{% endfor %}{% endfor %}"},
    {"loop.length",
     "{% for i in range(99999) %}{% for j in range(99999)|map('string') %}{{ loop.length "
     "}}{% endfor %}{% endfor %}"},
    {"loop.changed",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% if loop.changed(l) "
     "%}{% endif %}{% endfor %}"},
    {"loop.cycle",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% set y = loop.cycle(1, 2, "
     "3, 4) %}{% endfor %}{% endfor %}"},
    {"closures",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% macro m() %}{{ j }}{% "
     "endmacro %}{% endfor %}{% endfor %}"},
    {"undefined messages",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if {}['a' * 90] is defined "
     "%}{% endif %}{% endfor %}{% endfor %}"},
    {"filter block",
     "{% for i in range(99999) %}{% filter upper %}{{ 'x' * 1000000 }}{% endfilter %}{% "
     "endfor %}"},
    {"call blocks",
     "{% macro m() %}{{ caller() }}{% endmacro %}{% for i in range(99999) %}{% for j in "
     "range(9999) %}{% call m() %}{% endcall %}{% endfor %}{% endfor %}"},
    {"with",
     "{% for i in range(99999) %}{% for j in range(9999) %}{% with a = 1, b = 2 %}{% "
     "endwith %}{% endfor %}{% endfor %}"},
    {"unpack",
     "{% for i in range(99999) %}{% for j in range(9999) %}{% set a, b, c, d, e = 'abcde' "
     "%}{% endfor %}{% endfor %}"},
    {"cycler",
     "{% set c = cycler(1, 2) %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if c.next() %}{% endif %}{% endfor %}{% endfor %}"},
    {"joiner",
     "{% set c = joiner('x' * 1000) %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if c() %}{% endif %}{% endfor %}{% endfor %}"},
    {"filesizeformat",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if "
     "123456789|filesizeformat %}{% endif %}{% endfor %}{% endfor %}"},
    {"json floats",
     "{% set l = [1.1e300] * 10000 %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|tojson %}{% endif %}{% endfor %}{% endfor %}"},
    {"text times",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if 'ab' * 100000 %}{% "
     "endif %}{% endfor %}{% endfor %}"},
    {"list times",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if [1] * 100000 %}{% endif "
     "%}{% endfor %}{% endfor %}"},
    {"list of list",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if l|list %}{% endif %}{% endfor %}{% endfor %}"},
    {"range in",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if 77777 in range(99999) "
     "%}{% endif %}{% endfor %}{% endfor %}"},
    {"range list",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% if range(99999)|list %}{% "
     "endif %}{% endfor %}{% endfor %}"},
    {"dict of pairs",
     "{% set l = [('a', 1)] * 10000 %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if dict(l) %}{% endif %}{% endfor %}{% endfor %}"},
    {"fromkeys",
     "{% set l = range(50000)|list %}{% for i in range(99999) %}{% for j in range(99999) "
     "%}{% if {}.fromkeys(l) %}{% endif %}{% endfor %}{% endfor %}"},
    {"dictview in",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if -1 in d.values() %}{% endif %}{% endfor %}{% endfor %}"},
    {"items in",
     "{% set d = dict.fromkeys(range(20000)) %}{% for i in range(99999) %}{% for j in "
     "range(99999) %}{% if -1 in d.items() %}{% endif %}{% endfor %}{% endfor %}"},
    {"tuple keys",
     "{% set t = (1,) * 10000 %}{% set d = {t: 1} %}{% for i in range(99999) %}{% for j "
     "in range(99999) %}{% if d[t] %}{% endif %}{% endfor %}{% endfor %}"},
    {"swapcase",
     "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s.swapcase() %}{% endif %}{% endfor %}{% endfor %}"},
    {"wordwrap",
     "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% "
     "if s|wordwrap %}{% endif %}{% endfor %}{% endfor %}"},
};

std::string repeated(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

// Two seconds at most under the sanitizers on a slow core; the rest is for a busy machine.
constexpr double kSecondsMax = 30;

void expect_to_stop(std::string_view name, std::string_view source,
                    const ChatTemplateInput& input = {}, const ChatTemplateLimits& limits = {}) {
  const SystemClock clock;
  const TimePoint begin = clock.now();
  const Result<ChatTemplate> parsed = ChatTemplate::parse(source, limits);
  ASSERT_TRUE(parsed.ok()) << name << ": " << parsed.error().message;
  const Result<std::string> text = parsed.value().render(input);
  EXPECT_LT(seconds(clock.now() - begin), kSecondsMax) << name;
  ASSERT_FALSE(text.ok()) << name << " rendered " << text.value().size() << " bytes";
  EXPECT_EQ(text.error().code, ErrorCode::kTooLarge) << name << ": " << text.error().message;
  EXPECT_THAT(text.error().message,
              ::testing::ContainsRegex("(more than|exceeds|deeper than) [0-9]+"))
      << name;
}

TEST(ChatTemplateBombTest, EachKindStopsAtALimitThatIsNamed) {
  // A quarter of the steps shows what is not paid for as well, in a quarter of the time.
  ChatTemplateLimits limits;
  limits.num_steps_max = limits.num_steps_max_of_all = limits.num_steps_max / 4;
  for (const Bomb& bomb : kBombs) expect_to_stop(bomb.name, bomb.source, {}, limits);
}

TEST(ChatTemplateBombTest, TheSlowestStopWithinTheLimitsThatWeShip) {
  for (const Bomb& bomb : kBombs) {
    for (const std::string_view name : {"recursive loop tree", "caller", "macro tree bounded",
                                        "append list", "in text needle", "memory dicts"}) {
      if (bomb.name == name) expect_to_stop(bomb.name, bomb.source);
    }
  }
}

// What runs at each round is as long as the source of a template may be.
TEST(ChatTemplateBombTest, LongSourcesStopToo) {
  const std::string loops = "{% for i in range(99999) %}{% for j in range(99999) %}";
  const std::string ends = "{% endfor %}{% endfor %}";
  const std::string name(100'000, 'n');
  std::string names;
  std::string sets;
  for (int i = 0; i < 3000; ++i) {
    const std::string number = std::to_string(i);
    names += "{% if x" + number + " %}{% endif %}";
    sets += "{% set v" + number + " = v" + number + " %}";
  }
  expect_to_stop("many names", loops + names + ends);
  expect_to_stop("many sets", loops + "{% if false %}" + sets + "{% endif %}" + ends);
  expect_to_stop("many names of a macro",
                 "{% macro m() %}" + sets + "{% endmacro %}" + loops + "{{ m() }}" + ends);
  expect_to_stop("a long name", loops + "{% if " + name + " is defined %}{% endif %}" + ends);
  expect_to_stop("a long attribute",
                 loops + "{% if {}." + name + " is defined %}{% endif %}" + ends);
  expect_to_stop("a long argument", "{% macro m() %}{{ kwargs|length }}{% endmacro %}" + loops +
                                        "{% set y = m(" + name + "=1) %}" + ends);
  expect_to_stop("a long text", loops + "{% set y = '" + name + "' ~ i %}" + ends);
  expect_to_stop("a long list", loops + "{% set y = [" + repeated("1,", 50'000) + "] %}" + ends);
  expect_to_stop("a long sum", loops + "{% if 1" + repeated(" + 1", 100) + " %}{% endif %}" + ends);
  expect_to_stop("many filters",
                 loops + "{% if x" + repeated("|default(1)", 50) + " %}{% endif %}" + ends);
}

// The client's part of the context is as hostile as the template may be.
TEST(ChatTemplateBombTest, HostileContextsStopToo) {
  ChatTemplateInput input;
  for (int i = 0; i < 20'000; ++i) {
    input.arguments["name" + std::to_string(i)] = i;
  }
  const std::string loops = "{% for i in range(99999) %}{% for j in range(99999) %}";
  const std::string ends = "{% endfor %}{% endfor %}";
  std::string names;
  for (int i = 0; i < 3000; ++i) names += "{% if name" + std::to_string(i) + " %}{% endif %}";
  expect_to_stop("many variables", loops + names + ends, input);
  input.arguments = OrderedJson::object();
  input.messages = OrderedJson::array();
  const std::string content(1 << 20, 'a');
  for (int i = 0; i < 20; ++i) {
    input.messages.push_back({{"role", "user"}, {"content", content}});
  }
  expect_to_stop("large messages",
                 "{% for a in range(999) %}{% for m in messages %}{% if m.content|trim|length > 5 "
                 "and 'ab' in m.content %}{{ loop.index }}{% endif %}{% endfor %}{% endfor %}",
                 input);
}

}  // namespace
}  // namespace millrace
