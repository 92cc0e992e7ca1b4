// yaml-cpp's events into our tree; the only file that sees yaml-cpp and its exceptions.
#include "serve/config/yaml_reader.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace millrace {
namespace {

std::size_t line_of(const YAML::Mark& mark) {
  return mark.line >= 0 ? static_cast<std::size_t>(mark.line) + 1 : 1;
}

// ":7", or nothing where the parser does not know.
std::string column_of(const YAML::Mark& mark) {
  return mark.column >= 0 ? ":" + std::to_string(mark.column + 1) : "";
}

// Builds the tree. After the first problem it ignores what follows; the file is bounded, so that
// ends soon.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& name, const YamlLimits& limits) : name_(name), limits_(limits) {}

  Result<YamlNode> finish() {
    if (problem_) return *problem_;
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (has_document_) fail(mark, "a second document begins here, expected one");
    has_document_ = true;
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail(mark, "aliases (*name) are not allowed, write the value again");
  }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    fail(mark, "anchors (&name) are not allowed");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add(mark, YamlNode::Kind::kNull, "");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    check_tag(mark, tag);
    const bool is_null = tag == "?" && (value == "~" || value == "null" || value.empty());
    add(mark, is_null ? YamlNode::Kind::kNull : YamlNode::Kind::kText, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open(mark, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open(mark, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  void fail(const YAML::Mark& mark, const std::string& what) {
    if (problem_) return;
    problem_ = Error{ErrorCode::kInvalidArgument,
                     name_ + ":" + std::to_string(line_of(mark)) + ": " + what};
  }

  // "?" is a plain scalar or collection, "!" a quoted one.
  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") fail(mark, "tags (!name) are not allowed");
  }

  bool expects_key() const {
    return !open_.empty() && open_.back()->kind == YamlNode::Kind::kMap &&
           open_.back()->keys.size() == open_.back()->items.size();
  }

  void take_key(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& text) {
    YamlNode& map = *open_.back();
    if (kind != YamlNode::Kind::kText) return fail(mark, "a key is no text");
    const auto same = std::find(map.keys.begin(), map.keys.end(), text);
    if (same != map.keys.end()) {
      const std::size_t first = map.key_lines[static_cast<std::size_t>(same - map.keys.begin())];
      return fail(mark, "key \"" + text + "\" comes twice, first in line " + std::to_string(first));
    }
    map.keys.push_back(text);
    map.key_lines.push_back(line_of(mark));
  }

  YamlNode* add(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& text) {
    if (problem_) return nullptr;
    if (++num_nodes_ > limits_.nodes_max) {
      fail(mark, "more than " + std::to_string(limits_.nodes_max) + " values and keys");
      return nullptr;
    }
    if (expects_key()) {
      take_key(mark, kind, text);
      return nullptr;
    }
    YamlNode* node = &root_;
    if (!open_.empty()) {
      if (open_.back()->keys.size() > kKeysMax) fail(mark, "a map of too many keys");
      open_.back()->items.emplace_back();
      node = &open_.back()->items.back();
    }
    node->kind = kind;
    node->text = text;
    node->line = line_of(mark);
    return node;
  }

  void open(const YAML::Mark& mark, YamlNode::Kind kind) {
    if (open_.size() >= limits_.depth_max) {
      fail(mark, "nested deeper than " + std::to_string(limits_.depth_max) + " levels");
    }
    // A parent's items move only while no child of it is open, so the pointers hold.
    YamlNode* node = add(mark, kind, "");
    if (node != nullptr) open_.push_back(node);
  }
  void close() {
    if (!problem_) open_.pop_back();
  }

  static constexpr std::size_t kKeysMax = 1000;  // Looking for a key that comes twice is a scan.

  const std::string& name_;
  const YamlLimits limits_;
  YamlNode root_;
  std::vector<YamlNode*> open_;  // from the root down
  std::size_t num_nodes_ = 0;
  bool has_document_ = false;
  std::optional<Error> problem_;
};

}  // namespace

Result<YamlNode> parse_yaml(std::string_view text, const std::string& name,
                            const YamlLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return Error{ErrorCode::kTooLarge, name + ": " + std::to_string(text.size()) +
                                           " bytes, at most " + std::to_string(limits.bytes_max)};
  }
  TreeBuilder builder(name, limits);
  try {  // The parser itself gives up at a depth of 500.
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    // A second document is a problem; after a stray closing bracket yaml-cpp 0.7 finds ever more.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& problem) {
    TRY(builder.finish());  // An earlier problem says more.
    return Error{ErrorCode::kInvalidArgument, name + ":" + std::to_string(line_of(problem.mark)) +
                                                  column_of(problem.mark) + ": " + problem.msg};
  }
  return builder.finish();
}

}  // namespace millrace
