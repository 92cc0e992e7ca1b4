// Writing as the walk goes, each value paid for.
#include "text/jinja/write_json.h"

#include <array>
#include <cmath>

#include "text/jinja/compare.h"
#include "text/jinja/repr.h"
#include "text/jinja/sort.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

// Escapes make a text six times as long, so it goes to the output, where it is weighed, in chunks.
constexpr std::size_t kChunkBytes = 4096;

void append_unit(std::uint32_t unit, std::string& out) {
  out += "\\u";
  for (int digit = 3; digit >= 0; --digit) out += "0123456789abcdef"[(unit >> (4 * digit)) & 0xF];
}

// As one or two UTF-16 units.
void append_ascii(char32_t c, std::string& out) {
  if (c < 0x10000) return append_unit(c, out);
  append_unit(0xD800 + ((c - 0x10000) >> 10), out);
  append_unit(0xDC00 + ((c - 0x10000) & 0x3FF), out);
}

class JsonWriter {
 public:
  JsonWriter(Sandbox& sandbox, const JsonStyle& style) : sandbox_(sandbox), style_(style) {}

  Status write(const Value& value) {
    TRY(sandbox_.enter());
    const DepthGuard guard(sandbox_);
    TRY(sandbox_.spend(1));
    switch (value.kind()) {
      case Kind::kNone:
        return put("null");
      case Kind::kBool:
        return put(value.as_bool() ? "true" : "false");
      case Kind::kInt:
        return put(std::to_string(value.as_int()));
      case Kind::kFloat:
        return put(number(value.as_double()));
      case Kind::kString:
        return text(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return array(value.sequence().items);
      case Kind::kDict:
        return object(value.dict());
      default:
        return template_error("Object of type " + std::string(type_name(value)) +
                              " is not JSON serializable");
    }
  }

  std::string take() { return std::move(out_); }

 private:
  Status put(std::string_view piece) { return sandbox_.append(out_, piece); }

  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_repr(value);
  }

  static std::string_view short_escape(char c) {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        return "";
    }
  }

  Status text(std::string_view rest) {
    TRY(sandbox_.spend_items(rest.size() / 8));
    std::string quoted = "\"";
    while (!rest.empty()) {
      if (quoted.size() >= kChunkBytes) {
        TRY(put(quoted));
        quoted.clear();
      }
      const char c = rest[0];
      if (const std::string_view escape = short_escape(c); !escape.empty()) {
        quoted += escape;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        append_unit(static_cast<unsigned char>(c), quoted);
      } else if (static_cast<unsigned char>(c) >= 0x7F &&
                 style_.characters == JsonCharacters::kAscii) {
        const Utf8Character character = decode_utf8(rest);
        append_ascii(character.code_point, quoted);
        rest.remove_prefix(character.num_bytes);
        continue;
      } else {
        quoted += c;
      }
      rest.remove_prefix(1);
    }
    quoted += '"';
    return put(quoted);
  }

  Status new_line() {
    if (!style_.indent) return Ok{};
    TRY(put("\n"));
    return sandbox_.append_repeated(out_, *style_.indent, level_);
  }

  Status array(const std::vector<Value>& items) {
    if (items.empty()) return put("[]");
    TRY(put("["));
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) TRY(put(style_.item_separator));
      TRY(new_line());
      TRY(write(items[i]));
    }
    --level_;
    TRY(new_line());
    return put("]");
  }

  Status key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return text(key.text());
      case Kind::kNone:
        return text("null");
      case Kind::kBool:
        return text(key.as_bool() ? "true" : "false");
      case Kind::kInt:
        return text(std::to_string(key.as_int()));
      case Kind::kFloat:
        return text(number(key.as_double()));
      default:
        return template_error("keys must be str, int, float, bool or None, not " +
                              std::string(type_name(key)));
    }
  }

  Result<std::vector<std::size_t>> entry_order(const Dict& dict) {
    std::vector<std::size_t> order(dict.entries.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (style_.keys == JsonKeys::kInOrder) return order;
    return sort_places(sandbox_, order.size(), [&](std::size_t a, std::size_t b) {
      return ordered(sandbox_, Order::kLess, dict.entries[a].first, dict.entries[b].first);
    });
  }

  Status object(const Dict& dict) {
    if (dict.entries.empty()) return put("{}");
    const std::vector<std::size_t> order = TRY(entry_order(dict));
    TRY(put("{"));
    ++level_;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0) TRY(put(style_.item_separator));
      TRY(new_line());
      TRY(key(dict.entries[order[i]].first));
      TRY(put(style_.key_separator));
      TRY(write(dict.entries[order[i]].second));
    }
    --level_;
    TRY(new_line());
    return put("}");
  }

  Sandbox& sandbox_;
  const JsonStyle& style_;
  std::string out_;
  std::size_t level_ = 0;
};

}  // namespace

Result<std::string> write_json(Sandbox& sandbox, const Value& value, const JsonStyle& style) {
  JsonWriter writer(sandbox, style);
  TRY(writer.write(value));
  return writer.take();
}

}  // namespace millrace::jinja
