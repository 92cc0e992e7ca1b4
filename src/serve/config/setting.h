// What one setting is: its key, its field, what it may be and what it does. The one table of them
// (schema.h) drives reading, flags, printing and the documentation, so that these cannot drift.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"

namespace millrace {

// An enum of one byte; its names are Setting::choices, in order.
struct ChoiceRef {
  std::uint8_t* value = nullptr;
};

// Where a setting's value lies in the struct that owns it.
using FieldRef =
    std::variant<std::string*, bool*, std::uint16_t*, std::optional<std::uint16_t>*, std::uint64_t*,
                 std::optional<std::uint64_t>*, double*, std::optional<double>*, Duration*,
                 std::optional<Duration>*, std::vector<std::string>*, ChoiceRef>;

template <class Owner, class Field>
Owner owner_of(Field Owner::*);

// The field of an owner, for the table: field<&ListenConfig::port>.
template <auto Member>
FieldRef field(void* owner) {
  using Owner = decltype(owner_of(Member));
  auto& value = static_cast<Owner*>(owner)->*Member;
  if constexpr (std::is_enum_v<std::remove_reference_t<decltype(value)>>) {
    static_assert(sizeof(value) == 1);
    return ChoiceRef{reinterpret_cast<std::uint8_t*>(&value)};
  } else {
    return &value;
  }
}

enum class Unit : std::uint8_t { kNone, kBytes };

// What a text names on disk; --check looks whether it is there.
enum class PathKind : std::uint8_t {
  kNone,
  kFile,
  kFolder,
  kModel,      // folder, file or hf://…
  kNewFile,    // its folder must be there; "-" is standard output
  kNewFolder,  // the folder that it lies in must be there
};

enum class Secrecy : std::uint8_t { kOpen, kSecret };  // a secret is never printed

// Whether SIGHUP takes a new value; the rest needs a restart.
enum class Reload : std::uint8_t { kRestart, kLive };

struct Setting {
  const char* key = nullptr;
  FieldRef (*field)(void* owner) = nullptr;
  const char* help = nullptr;  // one sentence
  const char* flag = nullptr;  // of `millrace serve`
  double min = 0;              // of numbers; of times in seconds
  double max = std::numeric_limits<double>::infinity();
  const char* choices = nullptr;  // "refuse truncate_left"; of texts too
  Unit unit = Unit::kNone;
  PathKind path = PathKind::kNone;
  Secrecy secrecy = Secrecy::kOpen;
  Reload reload = Reload::kRestart;
};

// How to reach the items of a list without knowing their type.
struct ListAccess {
  std::size_t (*size)(void* owner) = nullptr;
  void* (*at)(void* owner, std::size_t index) = nullptr;
  void (*append)(void* owner) = nullptr;
  void (*clear)(void* owner) = nullptr;
};

// Settings that lie together: one struct, or a list of them when `list` has functions.
struct Section {
  const char* key = nullptr;
  const char* help = nullptr;
  std::span<const Setting> settings = {};
  std::span<const Section> sections = {};
  void* (*open)(void* owner) = nullptr;  // the struct; of a list, a default item (for its defaults)
  ListAccess list = {};
  std::size_t items_max = 0;

  bool is_list() const { return list.size != nullptr; }
};

template <auto Member>
void* open(void* owner) {
  return &(static_cast<decltype(owner_of(Member))*>(owner)->*Member);
}

template <auto Member>
constexpr ListAccess list_of() {
  using Owner = decltype(owner_of(Member));
  return {
      .size = [](void* owner) { return (static_cast<Owner*>(owner)->*Member).size(); },
      .at = [](void* owner, std::size_t index) -> void* {
        return &(static_cast<Owner*>(owner)->*Member)[index];
      },
      .append = [](void* owner) { (static_cast<Owner*>(owner)->*Member).emplace_back(); },
      .clear = [](void* owner) { (static_cast<Owner*>(owner)->*Member).clear(); },
  };
}

// The words of "refuse truncate_left".
std::vector<std::string_view> split_choices(const char* choices);

}  // namespace millrace
