// Owner and mode of folders and files that hold what is nobody else's business.
#include "memory/private_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace {
namespace {

Error system_error(const std::string& what, int code) {
  return Error{code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
               what + ": " + std::strerror(code)};
}

Status check_owner(const std::string& path, const struct stat& status) {
  if (status.st_uid == ::geteuid()) return Ok{};
  return Error{ErrorCode::kPermissionDenied, path + " belongs to user " +
                                                 std::to_string(status.st_uid) + ", expected " +
                                                 std::to_string(::geteuid())};
}

}  // namespace

Result<Descriptor> open_private_folder(const std::string& folder) {
  constexpr mode_t kOwnerOnly = 0700;
  if (::mkdir(folder.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
    return system_error("cannot make " + folder, errno);
  }
  Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!descriptor.is_open()) return system_error("cannot open " + folder, errno);
  struct stat status = {};
  if (::fstat(descriptor.number(), &status) != 0) {
    return system_error("cannot look at " + folder, errno);
  }
  TRY(check_owner(folder, status));
  if ((status.st_mode & 077) != 0) {
    return Error{ErrorCode::kPermissionDenied,
                 "others may enter " + folder + ", expected mode 0700"};
  }
  return descriptor;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status check_private_file(const std::string& path) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0) return system_error("cannot look at " + path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::kPermissionDenied, path + " is no regular file"};
  }
  TRY(check_owner(path, status));
  if ((status.st_mode & 022) != 0) {
    return Error{ErrorCode::kPermissionDenied, "others may write to " + path};
  }
  return Ok{};
}

}  // namespace millrace
