// Models that were downloaded, on disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub_reference.h"

namespace millrace {

struct HubFile {
  std::string path;
  std::optional<std::uint64_t> num_bytes = std::nullopt;  // absent: the hub does not say
  std::string digest = {};  // "sha256:…" or "git:…" (SHA-1 of git's blob); empty: not known
};

struct CachedModel {
  std::string repository;  // "owner/name"
  std::string commit;
  std::vector<std::string> revisions = {};  // that point at it
  std::uint64_t num_bytes = 0;              // of complete files
  std::size_t num_files = 0;
};

// The layout:
//
//   ROOT/owner/name/refs/main          text: the commit that the revision was when last asked
//   ROOT/owner/name/COMMIT/<file>      files as they are at the hub; whole, checked, never changed
//   ROOT/owner/name/COMMIT/<file>.part what has come so far of one
//   ROOT/owner/name/COMMIT/.files/<file>.json  written when a file is whole: size and digest
//   ROOT/owner/name/COMMIT/.listing.json       all files that the hub has, with size and digest
//   ROOT/owner/name/.lock              locked while somebody downloads
//
// Any process may read while another downloads: a file is there whole or not at all.
class HubCache {
 public:
  explicit HubCache(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string repository_folder(const HubReference& reference) const;
  std::string snapshot_folder(const HubReference& reference, const std::string& commit) const;

  // The commit that the revision was when last asked; absent: never asked.
  std::optional<std::string> commit_of(const HubReference& reference) const;
  Status set_commit(const HubReference& reference, const std::string& commit) const;

  // Whether the file came whole, with what is known of it.
  std::optional<HubFile> whole_file(const std::string& snapshot, const std::string& path) const;
  Status set_whole(const std::string& snapshot, const HubFile& file) const;
  // What the hub has of the commit; absent where it was never asked.
  std::optional<std::vector<HubFile>> listing(const std::string& snapshot) const;
  Status set_listing(const std::string& snapshot, const std::vector<HubFile>& files) const;
  // All of a snapshot that came whole, by name.
  std::vector<HubFile> whole_files(const std::string& snapshot) const;

  std::vector<CachedModel> list() const;
  // The whole repository; kNotFound, or kUnavailable while somebody downloads it.
  Status remove(const HubReference& reference) const;

 private:
  std::string root_;
};

// Holds a repository's lock, which other processes respect, until it goes.
class HubLock {
 public:
  // Absent while somebody else has it.
  static Result<std::optional<HubLock>> try_lock(const std::string& repository_folder);
  HubLock(HubLock&& other) noexcept;
  HubLock& operator=(HubLock&&) = delete;
  HubLock(const HubLock&) = delete;
  HubLock& operator=(const HubLock&) = delete;
  ~HubLock();

 private:
  explicit HubLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// mkdir -p.
Status make_folders(const std::string& path);

}  // namespace millrace
