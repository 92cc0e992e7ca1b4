// Files and folders of the cache.
#include "hub/hub_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/json.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRecordBytesMax = 64 << 10;
constexpr const char* kRecords = "/.files/";

// Names of the entries, sorted; none where the folder cannot be read.
std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

constexpr std::uint64_t kListingBytesMax = 64u << 20;

OrderedJson json_of(const HubFile& file) {
  OrderedJson json = {{"path", file.path}, {"digest", file.digest}};
  if (file.num_bytes) json["num_bytes"] = *file.num_bytes;
  return json;
}

std::optional<HubFile> file_of(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto path = json.find("path");
  if (path == json.end() || !path->is_string()) return std::nullopt;
  HubFile file{.path = path->get<std::string>()};
  const auto size = json.find("num_bytes");
  const auto digest = json.find("digest");
  if (size != json.end() && size->is_number_unsigned()) file.num_bytes = size->get<std::uint64_t>();
  if (digest != json.end() && digest->is_string()) file.digest = digest->get<std::string>();
  if (!is_safe_path(file.path)) return std::nullopt;
  return file;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

Status make_folders(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (!failed) return Ok{};
  return Error{ErrorCode::kUnavailable, "cannot make the folder " + path + ": " + failed.message()};
}

std::string HubCache::repository_folder(const HubReference& reference) const {
  return root_ + "/" + reference.repository();
}

std::string HubCache::snapshot_folder(const HubReference& reference,
                                      const std::string& commit) const {
  return repository_folder(reference) + "/" + commit;
}

std::optional<std::string> HubCache::commit_of(const HubReference& reference) const {
  if (is_commit(reference.revision)) return reference.revision;
  const Result<std::string> text =
      read_file(repository_folder(reference) + "/refs/" + reference.revision, kRecordBytesMax);
  if (!text.ok()) return std::nullopt;
  const std::string commit = trimmed(text.value());
  if (!is_commit(commit)) return std::nullopt;
  return commit;
}

Status HubCache::set_commit(const HubReference& reference, const std::string& commit) const {
  CHECK(is_commit(commit));
  if (is_commit(reference.revision)) return Ok{};
  const std::string folder = repository_folder(reference) + "/refs";
  TRY(make_folders(folder));
  return write_file(folder + "/" + reference.revision, commit + "\n");
}

std::optional<HubFile> HubCache::whole_file(const std::string& snapshot,
                                            const std::string& path) const {
  const auto identity = file_identity(snapshot + "/" + path);
  const auto record =
      read_json_file(snapshot + kRecords + path + ".json", {.bytes_max = kRecordBytesMax});
  if (!identity.ok() || !record.ok()) return std::nullopt;
  std::optional<HubFile> file = file_of(record.value());
  if (!file || file->path != path || file->num_bytes != identity.value().num_bytes) {
    return std::nullopt;
  }
  return file;
}

Status HubCache::set_whole(const std::string& snapshot, const HubFile& file) const {
  const std::string path = snapshot + kRecords + file.path + ".json";
  TRY(make_folders(parent_of(path)));
  return write_file(path, json_of(file).dump() + "\n");
}

std::optional<std::vector<HubFile>> HubCache::listing(const std::string& snapshot) const {
  const auto json = read_json_file(snapshot + "/.listing.json", {.bytes_max = kListingBytesMax});
  if (!json.ok() || !json.value().is_array()) return std::nullopt;
  std::vector<HubFile> files;
  for (const Json& entry : json.value()) {
    std::optional<HubFile> file = file_of(entry);
    if (!file) return std::nullopt;
    files.push_back(*std::move(file));
  }
  return files;
}

Status HubCache::set_listing(const std::string& snapshot, const std::vector<HubFile>& files) const {
  TRY(make_folders(snapshot));
  OrderedJson json = OrderedJson::array();
  for (const HubFile& file : files) json.push_back(json_of(file));
  return write_file(snapshot + "/.listing.json", json.dump() + "\n");
}

std::vector<HubFile> HubCache::whole_files(const std::string& snapshot) const {
  std::vector<HubFile> files;
  const std::string records = snapshot + kRecords;
  std::error_code failed;
  for (fs::recursive_directory_iterator entry(records, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string record = entry->path().string().substr(records.size());
    if (!record.ends_with(".json") || entry->is_directory(failed)) continue;
    const auto file = whole_file(snapshot, record.substr(0, record.size() - 5));
    if (file) files.push_back(*file);
  }
  std::sort(files.begin(), files.end(),
            [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  return files;
}

std::vector<CachedModel> HubCache::list() const {
  std::vector<CachedModel> models;
  for (const std::string& owner : entries_of(root_)) {
    for (const std::string& name : entries_of(root_ + "/" + owner)) {
      const std::string folder = root_ + "/" + owner + "/" + name;
      for (const std::string& commit : entries_of(folder)) {
        if (!is_commit(commit)) continue;
        CachedModel model{.repository = owner + "/" + name, .commit = commit};
        for (const HubFile& file : whole_files(folder + "/" + commit)) {
          model.num_bytes += file.num_bytes.value_or(0);
          ++model.num_files;
        }
        for (const std::string& revision : entries_of(folder + "/refs")) {
          const auto text = read_file(folder + "/refs/" + revision, kRecordBytesMax);
          if (text.ok() && trimmed(text.value()) == commit) model.revisions.push_back(revision);
        }
        if (model.num_files > 0) models.push_back(std::move(model));
      }
    }
  }
  return models;
}

Status HubCache::remove(const HubReference& reference) const {
  const std::string folder = repository_folder(reference);
  if (!is_directory(folder)) {
    return Error{ErrorCode::kNotFound, reference.repository() + " is not in " + root_};
  }
  const std::optional<HubLock> lock = TRY(HubLock::try_lock(folder));
  if (!lock) {
    return Error{ErrorCode::kUnavailable, reference.repository() + " is being downloaded"};
  }
  std::error_code failed;
  fs::remove_all(folder, failed);
  if (!failed) fs::remove(root_ + "/" + reference.owner, failed);  // Only when it is empty.
  if (is_directory(folder)) {
    return Error{ErrorCode::kUnavailable, "cannot remove " + folder};
  }
  return Ok{};
}

Result<std::optional<HubLock>> HubLock::try_lock(const std::string& repository_folder) {
  TRY(make_folders(repository_folder));
  const std::string path = repository_folder + "/.lock";
  constexpr mode_t kOwnersOnly = 0600;
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnersOnly);
  if (descriptor < 0) {
    return Error{ErrorCode::kUnavailable, "cannot open " + path + ": " + std::strerror(errno)};
  }
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
    return std::optional<HubLock>(HubLock(descriptor));
  }
  const int code = errno;
  ::close(descriptor);
  if (code == EWOULDBLOCK) return std::optional<HubLock>();
  return Error{ErrorCode::kUnavailable, "cannot lock " + path + ": " + std::strerror(code)};
}

HubLock::HubLock(HubLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

HubLock::~HubLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace millrace
