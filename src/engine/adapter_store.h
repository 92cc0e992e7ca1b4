// The adapters of one model: loaded and unloaded while others serve, kept while they are in use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/request.h"

namespace millrace {

struct ModelSpec;

struct AdapterStoreOptions {
  std::size_t adapters_max = 64;
  std::uint64_t bytes_max = 1ull << 30;  // of all of them, with those that wait for their last user
  std::size_t rank_max = 64;             // what decoder and engine are planned for
};

struct AdapterStatus {
  std::string name;
  std::string path;
  std::uint64_t id = 0;  // as in PrefixSalt::adapter
  std::size_t rank_max = 0;
  std::uint64_t num_bytes = 0;
  std::size_t num_users = 0;  // requests, about
};

// Any thread. A request holds the adapter that it was given by find(), so an adapter that is
// unloaded stays until its last request has ended; one that is loaded again is another one to the
// prefix index. Its memory, up to hundreds of megabytes, is given back by the next call of the
// store and not by the engine thread, whose step would wait for that.
class AdapterStore {
 public:
  // The spec is the one that the model runs with. The store may outlive the model.
  AdapterStore(const ModelSpec& spec, const AdapterStoreOptions& options);
  ~AdapterStore();
  AdapterStore(const AdapterStore&) = delete;
  AdapterStore& operator=(const AdapterStore&) = delete;

  // Reads a PEFT folder on the calling thread, one at a time, while others serve.
  // kInvalidArgument when the name is empty or taken; kResourceExhausted with both numbers when
  // there is no room; else what LoraAdapter::load says.
  Status load(const std::string& name, const std::string& path);
  // kNotFound. Requests that have it go on.
  Status unload(const std::string& name);
  // Null when there is none of that name.
  AdapterRef find(std::string_view name) const;
  std::vector<AdapterStatus> adapters() const;  // in the order of loading
  // Gives back what nobody uses any more, as every other call does. How many wait for their users.
  std::size_t sweep() const;

  const AdapterStoreOptions& options() const { return options_; }

 private:
  struct Entry {
    std::string name;
    std::string path;
    AdapterRef adapter;
  };
  // With mutex_ held.
  std::vector<Entry>::const_iterator find_entry(std::string_view name) const;
  Status check_room(const std::string& name) const;
  std::uint64_t num_bytes() const;

  const std::unique_ptr<const ModelSpec> spec_;
  const AdapterStoreOptions options_;

  std::mutex loading_mutex_;      // One load at a time; guards num_loaded_.
  std::uint64_t num_loaded_ = 0;  // ids given so far

  mutable std::mutex mutex_;  // Guards what follows.
  std::vector<Entry> entries_;
  mutable std::vector<AdapterRef> leaving_;  // shared with the requests that still have them
};

}  // namespace millrace
