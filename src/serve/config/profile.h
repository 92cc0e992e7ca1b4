// Defaults for a purpose.
#pragma once

#include <span>

#include "serve/config/config_reader.h"

namespace millrace {

// One value that a profile sets, and why.
struct ProfileSetting {
  const char* path;
  const char* value;
  const char* why;
};

// Empty for kNone.
std::span<const ProfileSetting> profile_settings(Profile profile);

}  // namespace millrace
