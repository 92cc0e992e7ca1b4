// The environment, and the bar while something comes.
#include "cli/hub_models.h"

#ifdef MILLRACE_WITH_HUB

#include <cstdio>
#include <cstdlib>

#include "cli/hub_options.h"
#include "cli/progress_bar.h"

namespace millrace {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Result<HubOptions> hub_options() {
  HubOptions options;
  if (const std::string endpoint = variable("HF_ENDPOINT"); !endpoint.empty()) {
    options.endpoint = endpoint;
  }
  options.token = variable("HF_TOKEN");
  const std::string offline = variable("HF_HUB_OFFLINE");
  options.is_offline = !offline.empty() && offline != "0";
  const std::string own = variable("MILLRACE_CACHE");
  const std::string common = variable("XDG_CACHE_HOME");
  const std::string home = variable("HOME");
  if (own.empty() && common.empty() && home.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "there is no folder for downloads, expected one in MILLRACE_CACHE or HOME"};
  }
  const std::string cache = !common.empty() ? common + "/millrace" : home + "/.cache/millrace";
  options.cache = (own.empty() ? cache : own) + "/hub";
  return options;
}

Result<std::string> local_model(const std::string& path) {
  if (!is_hub_reference(path)) return path;
  const HubReference reference = TRY(parse_hub_reference(path));
  HubClient hub(TRY(hub_options()));
  ProgressBar bar("downloading " + reference.repository());
  HubModel model = TRY(hub.fetch(reference, [&bar](const HubProgress& progress) {
    bar.update(progress.num_bytes, progress.num_bytes_all);
    return true;
  }));
  if (model.is_unchecked) {
    std::fprintf(stderr, "millrace: the hub cannot be reached; using %s as it was downloaded\n",
                 reference.text().c_str());
  }
  return std::move(model.path);
}

}  // namespace millrace

#else

namespace millrace {

Result<std::string> local_model(const std::string& path) {
  if (path.rfind("hf://", 0) != 0) return path;
  return Error{ErrorCode::kUnsupported,
               path +
                   ": this build has no downloads; libcurl4-openssl-dev and libssl-dev were not "
                   "there when it was configured"};
}

}  // namespace millrace

#endif
