// Models from a hub into the cache: what is missing is downloaded, checked and put in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "hub/http_client.h"
#include "hub/hub_cache.h"
#include "hub/hub_reference.h"

namespace millrace {

struct HubOptions {
  std::string cache;                                 // folder
  std::string endpoint = "https://huggingface.co";   // HF_ENDPOINT
  std::string token;                                 // HF_TOKEN; empty: none
  bool is_offline = false;                           // only what the cache has
  std::uint64_t bytes_max = std::uint64_t{4} << 40;  // of one model
  std::size_t files_max = 20'000;                    // that a repository may list
  std::size_t num_tries = 6;                         // of one file, when the network breaks off
  Duration retry_pause = std::chrono::seconds(1);    // doubles with each try
  Duration retry_pause_max = std::chrono::seconds(60);
  HttpClientOptions http = {};
};

struct HubProgress {
  std::string file;  // empty while another process is waited for
  std::uint64_t num_bytes = 0;
  std::uint64_t num_bytes_all = 0;  // of all files that are needed
};

struct HubModel {
  std::string path;  // of the folder, or of the one file
  std::string commit;
  std::uint64_t num_bytes = 0;
  std::uint64_t num_downloaded_bytes = 0;  // this time
  bool is_unchecked = false;  // the hub could not be asked: what the cache has was taken
};

// One thread.
class HubClient {
 public:
  // False ends the download; what came so far is kept and goes on next time.
  using Progress = std::function<bool(const HubProgress&)>;

  explicit HubClient(const HubOptions& options)
      : options_(options), cache_(options.cache), http_(options.http) {}

  // kNotFound, kUnauthenticated (HF_TOKEN is missing or wrong), kPermissionDenied, kUnavailable,
  // kCorruptData when what came is not what the hub says, kTooLarge, kCancelled.
  Result<HubModel> fetch(const HubReference& reference, const Progress& progress = {});
  const HubCache& cache() const { return cache_; }

 private:
  struct Listing {
    std::string commit;
    std::vector<HubFile> files;
  };
  Result<Listing> read_listing(const HubReference& reference);
  Result<HubModel> from_cache(const HubReference& reference) const;
  Result<HubLock> wait_for_lock(const HubReference& reference, const Progress& progress) const;
  Result<HubModel> download(const HubReference& reference, const Listing& listing,
                            const Progress& progress);
  // The file into its .part, from where that ends.
  Status download_part(const std::string& url, HubFile& file, const std::string& part,
                       const FunctionRef<bool(std::uint64_t num_bytes)>& progress);
  Status check_head(const HttpHead& head, const std::string& what);
  // Calls until it succeeds, fails for good, or was tried often enough.
  Status with_retries(const FunctionRef<Status()>& call);

  const HubOptions options_;
  const HubCache cache_;
  HttpClient http_;
  std::optional<Duration> retry_after_;  // what the last answer asked for
};

}  // namespace millrace
