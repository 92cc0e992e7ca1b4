// Asking the hub what there is, and fetching what is missing.
#include "hub/hub_client.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "base/checked.h"
#include "base/file.h"
#include "base/json.h"
#include "hub/file_choice.h"
#include "hub/part_file.h"

namespace millrace {
namespace {

constexpr std::uint64_t kListingBytesMax = 64u << 20;
constexpr Duration kLockPoll = std::chrono::milliseconds(200);

bool is_hex(std::string_view text, std::size_t num_digits) {
  return text.size() == num_digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string url_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string result;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (std::isalnum(byte) != 0 || std::string_view("-_.~/").find(letter) != std::string::npos) {
      result += letter;
    } else {
      result += '%';
      result += kDigits[byte >> 4];
      result += kDigits[byte & 15];
    }
  }
  return result;
}

std::string text_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<std::uint64_t> size_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

// One of "siblings": {"rfilename", "size", "blobId", "lfs": {"sha256", "size"}}.
// Source: https://huggingface.co/docs/hub/api, GET /api/models/{repo}/revision/{revision}?blobs=1.
HubFile file_from(const Json& json) {
  HubFile file{.path = text_at(json, "rfilename"), .num_bytes = size_at(json, "size")};
  const std::string blob = text_at(json, "blobId");
  const auto lfs = json.find("lfs");
  if (lfs != json.end() && lfs->is_object()) {
    std::string sha = text_at(*lfs, "sha256");
    if (sha.empty()) sha = text_at(*lfs, "oid");
    if (is_hex(sha, 64)) file.digest = "sha256:" + sha;
    if (!file.num_bytes) file.num_bytes = size_at(*lfs, "size");
  } else if (is_hex(blob, 40)) {
    file.digest = "git:" + blob;
  }
  return file;
}

// Where the listing did not say: the headers of the file itself.
void learn_from_head(const HttpHead& head, HubFile& file) {
  std::string tag(head.header("x-linked-etag"));
  if (tag.empty()) tag = head.header("etag");
  std::erase(tag, '"');
  if (file.digest.empty() && is_hex(tag, 64)) file.digest = "sha256:" + tag;
  if (file.digest.empty() && is_hex(tag, 40)) file.digest = "git:" + tag;
}

Error cancelled() {
  return Error{ErrorCode::kCancelled, "the download was stopped; what came so far is kept"};
}

// "bytes 100-199/200" begins at 100.
bool begins_at(const HttpHead& head, std::uint64_t offset) {
  std::string_view range = head.header("content-range");
  if (!range.starts_with("bytes ")) return false;
  range.remove_prefix(6);
  std::uint64_t begin = 0;
  const auto [end, failed] = std::from_chars(range.data(), range.data() + range.size(), begin);
  return failed == std::errc() && begin == offset;
}

bool may_be_tried_again(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kResourceExhausted ||
         code == ErrorCode::kCorruptData;
}

}  // namespace

Status HubClient::with_retries(const FunctionRef<Status()>& call) {
  Duration pause = options_.retry_pause;
  std::size_t num_corrupt = 0;
  for (std::size_t num_tries = 1;; ++num_tries) {
    retry_after_.reset();
    const Status status = call();
    if (status.ok() || !may_be_tried_again(status.error().code)) return status;
    // What is wrong twice is wrong at the hub.
    const bool is_corrupt = status.error().code == ErrorCode::kCorruptData;
    if (num_tries >= options_.num_tries || (is_corrupt && ++num_corrupt > 1)) return status;
    std::this_thread::sleep_for(std::min(retry_after_.value_or(pause), options_.retry_pause_max));
    pause *= 2;
  }
}

Status HubClient::check_head(const HttpHead& head, const std::string& what) {
  if (head.status == 200 || head.status == 206) return Ok{};
  const std::string answer = what + ": the hub answers " + std::to_string(head.status);
  switch (head.status) {
    case 401:
      return Error{ErrorCode::kUnauthenticated,
                   answer + (options_.token.empty()
                                 ? "; it is private or does not exist, expected a token in HF_TOKEN"
                                 : "; the token in HF_TOKEN is not accepted")};
    case 403:
      return Error{
          ErrorCode::kPermissionDenied,
          answer + "; its terms must be accepted at the hub, with the account of HF_TOKEN"};
    case 404:
      return Error{ErrorCode::kNotFound, answer};
    case 429: {
      const std::string_view text = head.header("retry-after");
      std::uint32_t seconds = 0;
      const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
      if (failed == std::errc() && !text.empty()) retry_after_ = std::chrono::seconds(seconds);
      return Error{ErrorCode::kResourceExhausted, answer + ", too many requests"};
    }
    default:
      return Error{ErrorCode::kUnavailable, answer};
  }
}

Result<HubClient::Listing> HubClient::read_listing(const HubReference& reference) {
  std::string endpoint = options_.endpoint;
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const std::string url = endpoint + "/api/models/" + reference.repository() + "/revision/" +
                          url_encoded(reference.revision) + "?blobs=true";
  std::string body;
  const auto sink = [&](const HttpHead&, std::span<const std::byte> bytes) -> Status {
    if (body.size() + bytes.size() > kListingBytesMax) {
      return Error{ErrorCode::kTooLarge, url + " answers with more than 64 MiB"};
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Ok{};
  };
  const Status status = with_retries([&]() -> Status {
    body.clear();
    const HttpHead head = TRY(http_.get({.url = url, .token = options_.token}, sink));
    return check_head(head, reference.text());
  });
  if (!status.ok()) return status.error();

  const Json json = TRY(parse_json(body, url, {.bytes_max = kListingBytesMax}));
  const auto siblings = json.is_object() ? json.find("siblings") : json.end();
  Listing listing;
  if (siblings != json.end()) listing.commit = text_at(json, "sha");
  if (!is_commit(listing.commit) || !siblings->is_array()) {
    return Error{ErrorCode::kCorruptData, url + " does not answer with a commit and its files"};
  }
  if (siblings->size() > options_.files_max) {
    return Error{ErrorCode::kTooLarge, reference.repository() + " lists " +
                                           std::to_string(siblings->size()) + " files, at most " +
                                           std::to_string(options_.files_max)};
  }
  for (const Json& sibling : *siblings) {
    if (!sibling.is_object()) continue;
    HubFile file = file_from(sibling);
    // Names like .gitattributes are left out, and so is whatever would lead out of the folder.
    if (is_safe_path(file.path)) listing.files.push_back(std::move(file));
  }
  return listing;
}

Result<HubModel> HubClient::from_cache(const HubReference& reference) const {
  const Error missing{ErrorCode::kNotFound,
                      reference.text() + " is not complete in " + cache_.root()};
  const std::optional<std::string> commit = cache_.commit_of(reference);
  if (!commit) return missing;
  const std::string snapshot = cache_.snapshot_folder(reference, *commit);
  const auto listing = cache_.listing(snapshot);
  if (!listing) return missing;
  const std::vector<HubFile> needed = TRY(choose_files(reference, *listing));
  HubModel model{.path = snapshot, .commit = *commit};
  for (const HubFile& file : needed) {
    const auto whole = cache_.whole_file(snapshot, file.path);
    if (!whole) return missing;
    model.num_bytes += whole->num_bytes.value_or(0);
  }
  const bool is_one_file = !reference.file.empty() || needed.front().path.ends_with(".gguf");
  if (is_one_file) model.path += "/" + needed.front().path;
  return model;
}

Result<HubModel> HubClient::fetch(const HubReference& reference, const Progress& progress) {
  if (options_.is_offline) return from_cache(reference);
  if (is_commit(reference.revision)) {  // A commit never changes.
    Result<HubModel> cached = from_cache(reference);
    if (cached.ok()) return cached;
  }
  const Result<Listing> listing = read_listing(reference);
  if (!listing.ok()) {
    if (listing.error().code != ErrorCode::kUnavailable) return listing.error();
    Result<HubModel> cached = from_cache(reference);
    if (!cached.ok()) return listing.error();
    HubModel model = std::move(cached).value();
    model.is_unchecked = true;
    return model;
  }
  const HubLock lock = TRY(wait_for_lock(reference, progress));
  return download(reference, listing.value(), progress);
}

Result<HubLock> HubClient::wait_for_lock(const HubReference& reference,
                                         const Progress& progress) const {
  const std::string folder = cache_.repository_folder(reference);
  for (;;) {
    std::optional<HubLock> lock = TRY(HubLock::try_lock(folder));
    if (lock) return std::move(*lock);
    if (progress && !progress({})) return cancelled();
    std::this_thread::sleep_for(kLockPoll);
  }
}

namespace {

// The sum of the sizes that are known, within the limit and what the disk has.
Result<std::uint64_t> check_sizes(const std::vector<HubFile>& files, std::uint64_t bytes_max,
                                  const HubCache& cache, const std::string& snapshot) {
  std::uint64_t num_bytes = 0;
  std::uint64_t num_missing = 0;
  for (const HubFile& file : files) {
    const auto sum = checked_add(num_bytes, file.num_bytes.value_or(0));
    if (!sum || *sum > bytes_max) {
      return Error{ErrorCode::kTooLarge, "the model has more than " + std::to_string(bytes_max) +
                                             " bytes, which are allowed"};
    }
    num_bytes = *sum;
    if (!cache.whole_file(snapshot, file.path)) num_missing += file.num_bytes.value_or(0);
  }
  std::error_code failed;
  const std::uintmax_t num_free = std::filesystem::space(snapshot, failed).available;
  if (!failed && num_missing > num_free) {
    return Error{ErrorCode::kResourceExhausted, "the model needs " + std::to_string(num_missing) +
                                                    " more bytes, but " + snapshot + " has only " +
                                                    std::to_string(num_free) + " free"};
  }
  return num_bytes;
}

// What came is what the hub has, or it goes.
Status check_part(const HubFile& file, const std::string& part, std::uint64_t num_bytes) {
  std::string problem;
  if (file.num_bytes && *file.num_bytes != num_bytes) {
    problem = std::to_string(num_bytes) + " bytes, expected " + std::to_string(*file.num_bytes);
  } else if (!file.digest.empty() && !TRY(has_digest(part, file.digest))) {
    problem = "another content than " + file.digest;
  }
  if (problem.empty()) return Ok{};
  std::remove(part.c_str());
  return Error{ErrorCode::kCorruptData, "what came of " + file.path + " has " + problem};
}

}  // namespace

Status HubClient::download_part(const std::string& url, HubFile& file, const std::string& part,
                                const FunctionRef<bool(std::uint64_t)>& progress) {
  PartFile out = TRY(PartFile::open(part));
  const std::uint64_t bytes_max = file.num_bytes.value_or(options_.bytes_max);
  if (out.num_bytes() > bytes_max) TRY(out.clear());
  const std::uint64_t offset = out.num_bytes();
  if (file.num_bytes != offset) {
    bool is_first = true;
    const auto sink = [&](const HttpHead& head, std::span<const std::byte> bytes) -> Status {
      if (std::exchange(is_first, false) && head.status == 200) TRY(out.clear());
      if (head.status == 206 && !begins_at(head, offset)) {
        return Error{ErrorCode::kUnavailable, url + " answers with another range than was asked"};
      }
      if (bytes.size() > bytes_max - out.num_bytes()) {
        return Error{ErrorCode::kTooLarge,
                     url + " has more than the " + std::to_string(bytes_max) + " bytes expected"};
      }
      TRY(out.append(bytes));
      if (!progress(out.num_bytes())) return cancelled();
      return Ok{};
    };
    const HttpHead head =
        TRY(http_.get({.url = url, .token = options_.token, .offset = offset}, sink));
    if (head.status == 416) TRY(out.clear());
    TRY(check_head(head, url));
    learn_from_head(head, file);
  }
  TRY(out.sync());
  return check_part(file, part, out.num_bytes());
}

Result<HubModel> HubClient::download(const HubReference& reference, const Listing& listing,
                                     const Progress& progress) {
  const std::vector<HubFile> needed = TRY(choose_files(reference, listing.files));
  const std::string snapshot = cache_.snapshot_folder(reference, listing.commit);
  TRY(cache_.set_listing(snapshot, listing.files));
  const std::uint64_t num_bytes_all =
      TRY(check_sizes(needed, options_.bytes_max, cache_, snapshot));
  std::string endpoint = options_.endpoint;
  while (endpoint.ends_with('/')) endpoint.pop_back();
  std::uint64_t num_done = 0;
  std::uint64_t num_downloaded = 0;
  for (HubFile file : needed) {
    if (const auto whole = cache_.whole_file(snapshot, file.path)) {
      num_done += whole->num_bytes.value_or(0);
      continue;
    }
    const std::string path = snapshot + "/" + file.path;
    const std::string part = path + ".part";
    TRY(make_folders(path.substr(0, path.rfind('/'))));
    const std::string url = endpoint + "/" + reference.repository() + "/resolve/" + listing.commit +
                            "/" + url_encoded(file.path);
    std::uint64_t num_here = 0;
    const auto tell = [&](std::uint64_t num_bytes) {
      num_here = num_bytes;
      return !progress || progress({file.path, num_done + num_bytes, num_bytes_all});
    };
    TRY(with_retries([&]() -> Status { return download_part(url, file, part, tell); }));
    if (std::rename(part.c_str(), path.c_str()) != 0) {
      return Error{ErrorCode::kUnavailable, "cannot put " + path + " in its place"};
    }
    file.num_bytes = TRY(file_identity(path)).num_bytes;
    TRY(cache_.set_whole(snapshot, file));
    num_done += *file.num_bytes;
    num_downloaded += num_here;
  }
  TRY(cache_.set_commit(reference, listing.commit));
  HubReference here = reference;
  here.revision = listing.commit;
  HubModel model = TRY(from_cache(here));
  model.num_downloaded_bytes = num_downloaded;
  return model;
}

}  // namespace millrace
