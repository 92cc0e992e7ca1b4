// Reads JSON of a known form without building a tree of it, so that memory follows what is kept.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace millrace {

// A handler for one kind of document. Every event that a derived class does not expect ends the
// parse with an error. Containers are counted: depth() is 1 inside the outermost.
class JsonEvents : public Json::json_sax_t {
 public:
  // Feeds `text` to the handler. `name` (file and part) begins every message.
  Status read(std::string_view text, const std::string& name);

  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("a boolean"); }
  bool number_integer(std::int64_t) override { return refuse("a negative number"); }
  bool number_unsigned(std::uint64_t) override { return refuse("a number"); }
  bool number_float(double, const std::string&) override {
    return refuse("a number that is no integer of 64 bits");
  }
  bool string(std::string&) override { return refuse("a string"); }
  bool binary(Json::binary_t&) override { return refuse("binary data"); }
  bool start_object(std::size_t) override { return refuse("an object"); }
  bool start_array(std::size_t) override { return refuse("an array"); }
  bool key(std::string&) override { return refuse("a key"); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override;

 protected:
  std::size_t depth() const { return depth_; }
  bool enter() {
    ++depth_;
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }
  // Where in the document we are, for messages: "tensor 'a', field 'shape'".
  virtual std::string place() const = 0;
  // Ends the parse: "<place> holds <found>, which is not expected there".
  bool refuse(const std::string& found);
  // Ends the parse with this message.
  bool fail(const std::string& message);

 private:
  std::size_t depth_ = 0;
  std::string fault_;
};

}  // namespace millrace
