// Reading of training texts: documents cut, conversations rendered, everything encoded.
#include "train/corpus.h"

#include <algorithm>
#include <string_view>

#include "base/file.h"
#include "base/json.h"

namespace millrace {
namespace {

constexpr std::size_t kEncodedBytesMax = std::size_t{1} << 20;  // at once
constexpr std::size_t kLineBytesMax = std::size_t{16} << 20;

class CorpusReader {
 public:
  CorpusReader(const CorpusFile& file, const CorpusText& text) : file_(&file), text_(&text) {}

  Result<TokenData> read() {
    const MappedFile mapped = TRY(MappedFile::open(file_->path));
    const std::span<const std::byte> bytes = mapped.bytes();
    const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (file_->path.ends_with(".jsonl")) {
      TRY(read_lines(all));
    } else {
      TRY(read_text(all));
    }
    TRY(mapped.check_intact());
    if (!data_.documents().empty()) return std::move(data_);
    return Error{ErrorCode::kCorruptData, file_->path + ": holds no document"};
  }

 private:
  Status read_text(std::string_view all) {
    while (!all.empty()) {
      std::size_t end = all.size();
      if (!file_->separator.empty()) end = std::min(end, all.find(file_->separator));
      TRY(add_text(all.substr(0, end)));
      all.remove_prefix(std::min(all.size(), end + file_->separator.size()));
    }
    return Ok{};
  }

  Status read_lines(std::string_view all) {
    for (line_ = 1; !all.empty(); ++line_) {
      const std::size_t end = std::min(all.size(), all.find('\n'));
      const std::string_view line = all.substr(0, end);
      all.remove_prefix(std::min(all.size(), end + 1));
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      TRY(add_line(line));
    }
    return Ok{};
  }

  std::string where() const { return file_->path + ":" + std::to_string(line_); }

  Status add_line(std::string_view line) {
    const OrderedJson json = TRY(parse_ordered_json(line, where(), {.bytes_max = kLineBytesMax}));
    if (json.is_object() && json.contains("messages")) return add_messages(json);
    if (json.is_object() && json.contains("text") && json["text"].is_string()) {
      return add_text(json["text"].get_ref<const std::string&>());
    }
    return Error{ErrorCode::kCorruptData,
                 where() + ": expected an object with a text or a list of messages"};
  }

  // In pieces that end in a line break where there is one, which no vocabulary joins with what
  // follows but in rare runs of white space.
  Status add_text(std::string_view text) {
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return Ok{};
    data_.begin_document(LongDocument::kCut);
    while (!text.empty()) {
      std::size_t count = text.size();
      if (count > kEncodedBytesMax) {
        const std::size_t line_break = text.rfind('\n', kEncodedBytesMax - 1);
        count = line_break == std::string_view::npos ? kEncodedBytesMax : line_break + 1;
      }
      TRY(append(text.substr(0, count), true));
      text.remove_prefix(count);
    }
    if (const std::optional<TokenId> eos = text_->tokenizer->eos_id()) {
      data_.append(std::span(&*eos, 1), true);
    }
    return Ok{};
  }

  Status append(std::string_view text, bool learned) {
    if (text.empty()) return Ok{};
    const std::vector<TokenId> ids = TRY(text_->tokenizer->encode(
        text, {.add_special = AddSpecial::kNo, .parse_special = ParseSpecial::kYes}));
    data_.append(ids, learned);
    return Ok{};
  }

  Result<std::string> render(const OrderedJson& messages, GenerationPrompt prompt) const {
    ChatTemplateInput input;
    input.messages = messages;
    input.generation_prompt = prompt;
    input.bos_token = text_->bos_text;
    input.eos_token = text_->eos_text;
    Result<std::string> rendered = text_->chat_template->render(input);
    if (rendered.ok()) return rendered;
    return Error{rendered.error().code, where() + ": " + rendered.error().message};
  }

  // Every answer is learned after exactly the prompt that a server would make of what is before it.
  Status add_messages(const OrderedJson& json) {
    if (text_->chat_template == nullptr) {
      return Error{ErrorCode::kInvalidArgument,
                   where() + ": a conversation needs a tokenizer with a chat template"};
    }
    const OrderedJson& messages = json["messages"];
    if (!messages.is_array()) {
      return Error{ErrorCode::kCorruptData, where() + ": messages are no list"};
    }
    data_.begin_document(LongDocument::kKeepBeginning);
    OrderedJson before = OrderedJson::array();
    std::string done;
    for (const OrderedJson& message : messages) {
      const bool answers = message.is_object() && message.value("role", "") == "assistant";
      if (answers) TRY(add_answer(before, message, done));
      before.push_back(message);
    }
    if (done.empty()) data_.drop_document();
    return Ok{};
  }

  Status add_answer(const OrderedJson& before, const OrderedJson& message, std::string& done) {
    const std::string prompt = TRY(render(before, GenerationPrompt::kOn));
    OrderedJson with_answer = before;
    with_answer.push_back(message);
    std::string whole = TRY(render(with_answer, GenerationPrompt::kOff));
    if (!prompt.starts_with(done) || !whole.starts_with(prompt)) {
      return Error{ErrorCode::kUnsupported,
                   where() +
                       ": the chat template changes what is before an answer, so that the "
                       "answer cannot be told from its prompt"};
    }
    TRY(append(std::string_view(prompt).substr(done.size()), false));
    TRY(append(std::string_view(whole).substr(prompt.size()), true));
    done = std::move(whole);
    return Ok{};
  }

  const CorpusFile* file_;
  const CorpusText* text_;
  TokenData data_;
  std::size_t line_ = 0;
};

}  // namespace

Result<TokenData> read_corpus(const CorpusFile& file, const CorpusText& text) {
  CHECK(text.tokenizer != nullptr);
  return CorpusReader(file, text).read();
}

}  // namespace millrace
