// What the files of the settings' table share.
#pragma once

#include "serve/config/setting.h"

namespace millrace {

// An item with its defaults, for Section::open of lists; nobody writes to it.
template <class Item>
void* default_item(void*) {
  static Item item;  // Never written to.
  return &item;
}

inline constexpr double kSecond = 1;
inline constexpr double kHour = 3600;
inline constexpr double kDay = 24 * kHour;
inline constexpr double kMillisecond = 1e-3;
inline constexpr double kKi = 1024;
inline constexpr double kMi = 1024 * kKi;
inline constexpr double kGi = 1024 * kMi;
inline constexpr double kTi = 1024 * kGi;

extern const Section kApiKeysSection;
extern const Section kModelsSection;
extern const Section kClassesSection;

}  // namespace millrace
