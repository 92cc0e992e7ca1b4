// A folder that only its owner can enter.
#pragma once

#include <string>

#include "base/result.h"
#include "memory/descriptor.h"

namespace millrace {

// Makes it with mode 0700 when it is absent, its parents not. kPermissionDenied when it belongs to
// somebody else or others may enter it; a link in its place is not followed.
Result<Descriptor> open_private_folder(const std::string& folder);

// The part of a path before its last name; "." when it has none.
std::string folder_of(const std::string& path);

// The same for a regular file in such a folder: ours, and nobody else may write to it. kNotFound
// when there is none; a link is not followed.
Status check_private_file(const std::string& path);

}  // namespace millrace
