// For tests: a strict reader of Prometheus's text format 0.0.4, which says what is wrong.
#pragma once

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

namespace millrace {

struct PrometheusPage {
  std::map<std::string, double> values;      // by name and labels as written
  std::map<std::string, std::string> kinds;  // by family
  std::string problem;                       // empty: none
};

class PrometheusParser {
 public:
  PrometheusPage parse(const std::string& text) {
    if (!text.empty() && text.back() != '\n') fail("the last line does not end");
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("# HELP ", 0) == 0) {
        read_help(line);
      } else {
        line.rfind("# TYPE ", 0) == 0 ? read_type(line) : read_sample(line);
      }
      if (!page_.problem.empty()) page_.problem += " in: " + line;
      if (!page_.problem.empty()) return page_;
    }
    for (const auto& [name, kind] : page_.kinds) {
      if (kind == "histogram") check_histogram(name);
    }
    return page_;
  }

 private:
  void fail(const std::string& what) {
    if (page_.problem.empty()) page_.problem = what;
  }

  static std::size_t name_length(std::string_view text) {
    std::size_t length = 0;
    while (length < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[length])) != 0 || text[length] == '_')) {
      ++length;
    }
    return length > 0 && std::isdigit(static_cast<unsigned char>(text[0])) != 0 ? 0 : length;
  }

  // Once, before the type.
  void read_help(const std::string& line) {
    const std::string name = line.substr(7, line.find(' ', 7) - 7);
    if (page_.kinds.contains(name)) fail("help after the type");
    if (line.size() <= 8 + name.size()) fail("an empty help");
    if (!helped_.insert(name).second) fail("help twice");
  }

  void read_type(const std::string& line) {
    std::istringstream words(line.substr(7));
    std::string name, kind, rest;
    words >> name >> kind;
    if (name_length(name) != name.size() || name.empty()) fail("no name");
    if (words >> rest) fail("words after the type");
    if (kind != "counter" && kind != "gauge" && kind != "histogram") fail("no type");
    if (kind == "counter" && !name.ends_with("_total")) fail("a counter without _total");
    if (!page_.kinds.emplace(name, kind).second) fail("a family twice");
    if (kind != "counter" && name.ends_with("_total")) fail("_total without a counter");
    current_ = name;
  }

  // Labels: {name="value",…}; the position after the brace.
  std::size_t read_labels(const std::string& line, std::size_t at) {
    std::set<std::string> names;
    while (at < line.size() && line[at] != '}') {
      const std::size_t length = name_length(std::string_view(line).substr(at));
      if (length == 0 || !names.insert(line.substr(at, length)).second) fail("a label's name");
      at += length;
      if (line.compare(at, 2, "=\"") != 0) return fail("no =\""), line.size();
      for (at += 2; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] != '\\') continue;
        ++at;
        if (at >= line.size() || std::string_view("\\n\"").find(line[at]) == std::string::npos) {
          return fail("an escape"), line.size();
        }
      }
      if (at >= line.size()) return fail("an open quote"), line.size();
      ++at;
      if (at < line.size() && line[at] == ',') ++at;
    }
    return at + 1;
  }

  void read_sample(const std::string& line) {
    const std::size_t length = name_length(line);
    const std::string name = line.substr(0, length);
    if (length == 0) return fail("no name");
    std::size_t at = length;
    if (at < line.size() && line[at] == '{') at = read_labels(line, at + 1);
    if (!page_.problem.empty()) return;
    if (at >= line.size() || line[at] != ' ') return fail("no space before the value");
    const std::string number = line.substr(at + 1);
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0') return fail("no number");
    std::string family = name;
    for (const char* suffix : {"_bucket", "_sum", "_count"}) {
      if (!page_.kinds.contains(family) && name.ends_with(suffix)) {
        family = name.substr(0, name.size() - std::string_view(suffix).size());
      }
    }
    if (!page_.kinds.contains(family)) return fail("no type before it");
    if (family != current_) return fail("outside its family");
    const bool is_histogram = page_.kinds.at(family) == "histogram";
    if (is_histogram == (name == family)) return fail("a suffix too many or too few");
    if (page_.kinds.at(family) == "counter" && value < 0) return fail("a counter below 0");
    if (!page_.values.emplace(line.substr(0, at), value).second) fail("a sample twice");
    if (name.ends_with("_bucket")) buckets_[family + others(line.substr(0, at))][le(line)] = value;
  }

  static double le(const std::string& line) {
    const std::size_t at = line.find("le=\"");
    return at == std::string::npos ? std::nan("") : std::strtod(line.c_str() + at + 4, nullptr);
  }
  // The labels but le, which comes last.
  static std::string others(const std::string& sample) {
    const std::size_t open = sample.find('{');
    const std::size_t last = sample.rfind("le=\"");
    if (open == std::string::npos || last == std::string::npos || last == open + 1) return "";
    return "{" + sample.substr(open + 1, last - open - 2) + "}";
  }

  void check_histogram(const std::string& name) {
    for (const auto& [key, buckets] : buckets_) {
      const std::size_t brace = key.find('{');
      if (key.substr(0, brace) != name) continue;
      const std::string labels = brace == std::string::npos ? "" : key.substr(brace);
      double before = 0;
      for (const auto& [bound, count] : buckets) {
        if (count < before) fail("buckets fall in " + key);
        before = count;
      }
      if (!std::isinf(buckets.rbegin()->first)) fail("no +Inf in " + key);
      const auto count = page_.values.find(name + "_count" + labels);
      if (count == page_.values.end() || count->second != before) fail("the count of " + key);
      if (!page_.values.contains(name + "_sum" + labels)) fail("no sum of " + key);
    }
  }

  PrometheusPage page_;
  std::set<std::string> helped_;
  std::string current_;
  std::map<std::string, std::map<double, double>> buckets_;
};

inline PrometheusPage parse_prometheus(const std::string& text) {
  return PrometheusParser().parse(text);
}

}  // namespace millrace
