// The rows: one per setting.
#include "serve/config/schema.h"

#include "serve/config/schema_parts.h"

namespace millrace {
namespace {

constexpr Setting kListen[] = {
    {.key = "address",
     .field = field<&ListenConfig::address>,
     .help = "Address that clients connect to; 0.0.0.0 for every interface.",
     .flag = "--host"},
    {.key = "port",
     .field = field<&ListenConfig::port>,
     .help = "Port that clients connect to; 0 lets the kernel choose.",
     .flag = "--port",
     .max = 65535},
};

constexpr Setting kTls[] = {
    {.key = "certificate",
     .field = field<&TlsConfig::certificate>,
     .help =
         "PEM file with the certificate and its chain; without it the server speaks plain HTTP, "
         "for a proxy in front of it. With one from the start, a reload takes another.",
     .flag = "--tls-certificate",
     .path = PathKind::kFile,
     .reload = Reload::kLive},
    {.key = "key",
     .field = field<&TlsConfig::key>,
     .help = "PEM file with the certificate's private key.",
     .flag = "--tls-key",
     .path = PathKind::kFile,
     .reload = Reload::kLive},
};

constexpr Setting kAdmin[] = {
    {.key = "address",
     .field = field<&AdminConfig::address>,
     .help = "Address of the listener for everything that changes state.",
     .flag = "--admin-host"},
    {.key = "port",
     .field = field<&AdminConfig::port>,
     .help =
         "Its port; without one there is no such listener, and nothing can be changed over HTTP.",
     .flag = "--admin-port",
     .max = 65535},
    {.key = "key",
     .field = field<&AdminConfig::key>,
     .help = "Its key, sent as a bearer token. A port needs a key.",
     .secrecy = Secrecy::kSecret,
     .reload = Reload::kLive},
    {.key = "key_file",
     .field = field<&AdminConfig::key_file>,
     .help = "File that holds the key, instead of `key`.",
     .flag = "--admin-key-file",
     .path = PathKind::kFile,
     .reload = Reload::kLive},
};

constexpr Setting kShareController[] = {
    {.key = "enabled",
     .field = field<&ShareControllerConfig::enabled>,
     .help = "Move shares from classes that have time to those that are late.",
     .flag = "--share-controller"},
    {.key = "interval",
     .field = field<&ShareControllerConfig::interval>,
     .help = "Time between two moves.",
     .min = 10 * kMillisecond,
     .max = kHour},
    {.key = "step",
     .field = field<&ShareControllerConfig::step>,
     .help = "What one move moves, a part of all.",
     .min = 1e-3,
     .max = 0.5},
};

constexpr Setting kEngine[] = {
    {.key = "step_tokens_max",
     .field = field<&EngineConfig::step_tokens_max>,
     .help = "Tokens of all sequences in one step.",
     .flag = "--step-tokens",
     .min = 1,
     .max = 1 << 20},
    {.key = "chunk_tokens_max",
     .field = field<&EngineConfig::chunk_tokens_max>,
     .help = "Tokens of one prompt in one step.",
     .flag = "--chunk-tokens",
     .min = 1,
     .max = 1 << 20},
    {.key = "sequences_max",
     .field = field<&EngineConfig::sequences_max>,
     .help = "Answers that are computed at once.",
     .flag = "--max-sequences",
     .min = 1,
     .max = 1 << 16},
    {.key = "requests_max",
     .field = field<&EngineConfig::requests_max>,
     .help = "Requests that wait or run, of one model.",
     .flag = "--max-requests",
     .min = 1,
     .max = 1e6},
    {.key = "overlap",
     .field = field<&EngineConfig::overlap>,
     .help = "Plan the next step while one runs; slower on a CPU, which then plans and computes at "
             "once.",
     .flag = "--overlap"},
    {.key = "prefix_reuse",
     .field = field<&EngineConfig::prefix_reuse>,
     .help = "Equal beginnings of prompts are computed once.",
     .flag = "--prefix-reuse"},
    {.key = "memory_bytes",
     .field = field<&EngineConfig::memory_bytes>,
     .help = "Most memory of all models together; without it, what is free.",
     .flag = "--memory-all",
     .min = kMi,
     .max = 64 * kTi,
     .unit = Unit::kBytes},
    {.key = "shared_weights_bytes_max",
     .field = field<&EngineConfig::shared_weights_bytes_max>,
     .help = "Weights up to this size are shared between processes; 0 for never.",
     .flag = "--share-limit",
     .max = 64 * kTi,
     .unit = Unit::kBytes},
    {.key = "cpu_isa",
     .field = field<&EngineConfig::cpu_isa>,
     .help = "Kernels of this instruction set; without one, the best.",
     .flag = "--cpu-isa"},
};

constexpr Section kEngineSections[] = {
    {.key = "share_controller",
     .help = "Moves shares between classes, within their share_min and share_max.",
     .settings = kShareController,
     .open = open<&EngineConfig::share_controller>},
};

constexpr Setting kThreads[] = {
    {.key = "io",
     .field = field<&ThreadsConfig::io>,
     .help = "Threads that read and write sockets.",
     .flag = "--io-threads",
     .min = 1,
     .max = 64},
    {.key = "host",
     .field = field<&ThreadsConfig::host>,
     .help = "Threads that tokenise, render templates, compile grammars and format answers.",
     .flag = "--host-threads",
     .min = 1,
     .max = 256},
};

constexpr Setting kLimits[] = {
    {.key = "body_bytes_max",
     .field = field<&LimitsConfig::body_bytes_max>,
     .help = "Bytes of a request's body; more are refused with 413.",
     .flag = "--max-body",
     .min = kKi,
     .max = kGi,
     .unit = Unit::kBytes,
     .reload = Reload::kLive},
    {.key = "header_bytes_max",
     .field = field<&LimitsConfig::header_bytes_max>,
     .help = "Bytes of a request's headers together; more are refused with 431.",
     .min = kKi,
     .max = kMi,
     .unit = Unit::kBytes,
     .reload = Reload::kLive},
    {.key = "json_depth_max",
     .field = field<&LimitsConfig::json_depth_max>,
     .help = "Nesting of a request's JSON.",
     .min = 8,
     .max = 256,
     .reload = Reload::kLive},
    {.key = "choices_max",
     .field = field<&LimitsConfig::choices_max>,
     .help = "Answers to one prompt (`n`).",
     .min = 1,
     .max = 128,
     .reload = Reload::kLive},
    {.key = "max_tokens",
     .field = field<&LimitsConfig::max_tokens>,
     .help = "Tokens that a request may ask for; without it, what the context holds.",
     .flag = "--max-tokens",
     .min = 1,
     .max = 1e9,
     .reload = Reload::kLive},
    {.key = "stop_strings_max",
     .field = field<&LimitsConfig::stop_strings_max>,
     .help = "Stop strings of a request.",
     .max = 64,
     .reload = Reload::kLive},
    {.key = "connections_max",
     .field = field<&LimitsConfig::connections_max>,
     .help = "Connections at once; more are answered 503 and closed.",
     .flag = "--max-connections",
     .min = 1,
     .max = 1e6,
     .reload = Reload::kLive},
    {.key = "stream_buffer_bytes_max",
     .field = field<&LimitsConfig::stream_buffer_bytes_max>,
     .help = "Bytes of an answer that wait for a client who reads slowly; with more it is cut off.",
     .min = 4 * kKi,
     .max = kGi,
     .unit = Unit::kBytes,
     .reload = Reload::kLive},
    {.key = "request_time_max",
     .field = field<&LimitsConfig::request_time_max>,
     .help = "Time of a request from its last byte to the last byte of its answer.",
     .flag = "--request-time",
     .min = kSecond,
     .max = 30 * kDay,
     .reload = Reload::kLive},
    {.key = "header_timeout",
     .field = field<&LimitsConfig::header_timeout>,
     .help = "Time for a request's headers to arrive.",
     .min = 10 * kMillisecond,
     .max = kHour,
     .reload = Reload::kLive},
    {.key = "body_timeout",
     .field = field<&LimitsConfig::body_timeout>,
     .help = "Time for a request's body to arrive.",
     .min = 10 * kMillisecond,
     .max = kHour,
     .reload = Reload::kLive},
    {.key = "idle_timeout",
     .field = field<&LimitsConfig::idle_timeout>,
     .help = "Time that a connection is kept between two requests.",
     .min = 10 * kMillisecond,
     .max = kDay,
     .reload = Reload::kLive},
    {.key = "write_stall_timeout",
     .field = field<&LimitsConfig::write_stall_timeout>,
     .help = "Time without any progress in sending before a client counts as gone.",
     .min = 10 * kMillisecond,
     .max = kHour,
     .reload = Reload::kLive},
    {.key = "drain_timeout",
     .field = field<&LimitsConfig::drain_timeout>,
     .help = "Time that running requests get to finish when the server stops.",
     .flag = "--drain-timeout",
     .max = kDay,
     .reload = Reload::kLive},
};

constexpr Setting kCors[] = {
    {.key = "origins",
     .field = field<&CorsConfig::origins>,
     .help = "Web pages of these origins may call the server; `*` for any. None by default.",
     .flag = "--cors-origins",
     .reload = Reload::kLive},
    {.key = "headers",
     .field = field<&CorsConfig::headers>,
     .help = "Headers that they may send.",
     .reload = Reload::kLive},
    {.key = "max_age",
     .field = field<&CorsConfig::max_age>,
     .help = "Time that browsers remember this.",
     .max = kDay,
     .reload = Reload::kLive},
};

constexpr Setting kLog[] = {
    {.key = "level",
     .field = field<&LogConfig::level>,
     .help = "Lines below this are not written.",
     .flag = "--log-level",
     .choices = "debug info warning error",
     .reload = Reload::kLive},
    {.key = "format",
     .field = field<&LogConfig::format>,
     .help = "Lines for people, or JSON.",
     .flag = "--log-format",
     .choices = "text json",
     .reload = Reload::kLive},
};

constexpr Setting kAccessLog[] = {
    {.key = "path",
     .field = field<&AccessLogConfig::path>,
     .help = "File that gets a line of JSON per request, `-` for standard output; none by default.",
     .flag = "--access-log",
     .path = PathKind::kNewFile,
     .reload = Reload::kLive},
    {.key = "fields",
     .field = field<&AccessLogConfig::fields>,
     .help = "What a line has; all of these when none is named.",
     .choices =
         "time request_id client method path status model class key user stream cut_off finish "
         "choices prompt_tokens cached_tokens output_tokens queue_seconds first_token_seconds "
         "total_seconds error",
     .reload = Reload::kLive},
    {.key = "queued_lines_max",
     .field = field<&AccessLogConfig::queued_lines_max>,
     .help = "Lines that wait for a slow disk; more are dropped and counted.",
     .min = 1,
     .max = 1e6},
};

constexpr Setting kMetrics[] = {
    {.key = "listener",
     .field = field<&MetricsConfig::listener>,
     .help = "Where /metrics is: on the public listener, on the admin listener, or nowhere.",
     .flag = "--metrics",
     .choices = "public admin off"},
};

constexpr Setting kHook[] = {
    {.key = "kind",
     .field = field<&HookConfig::kind>,
     .help = "`trim` takes spaces off both ends, `tidy_json` writes JSON compactly, `redact` "
             "replaces what the pattern matches.",
     .choices = "trim tidy_json redact",
     .reload = Reload::kLive},
    {.key = "pattern",
     .field = field<&HookConfig::pattern>,
     .help = "Regular expression of `redact`.",
     .reload = Reload::kLive},
    {.key = "replacement",
     .field = field<&HookConfig::replacement>,
     .help = "What `redact` puts in its place.",
     .reload = Reload::kLive},
    {.key = "models",
     .field = field<&HookConfig::models>,
     .help = "Models that it is for; all when none is named.",
     .reload = Reload::kLive},
};

constexpr Setting kTop[] = {
    {.key = "profile",
     .field = field<&ServerConfig::profile>,
     .help = "Defaults for a purpose, see below; what the file says goes before them.",
     .flag = "--profile",
     .choices = "none realtime batch"},
    {.key = "hot_prompt_cache",
     .field = field<&ServerConfig::hot_prompt_cache>,
     .help = "Folder that keeps computed hot prompts for the next start.",
     .flag = "--hot-prompt-cache",
     .path = PathKind::kNewFolder},
};

const Section kSections[] = {
    {.key = "listen",
     .help = "Where clients connect.",
     .settings = kListen,
     .open = open<&ServerConfig::listen>},
    {.key = "tls",
     .help = "HTTPS of both listeners.",
     .settings = kTls,
     .open = open<&ServerConfig::tls>},
    {.key = "admin",
     .help = "The listener of operators.",
     .settings = kAdmin,
     .open = open<&ServerConfig::admin>},
    kApiKeysSection,
    kModelsSection,
    kClassesSection,
    {.key = "engine",
     .help = "How steps are made.",
     .settings = kEngine,
     .sections = kEngineSections,
     .open = open<&ServerConfig::engine>},
    {.key = "threads",
     .help = "Threads beside those that compute.",
     .settings = kThreads,
     .open = open<&ServerConfig::threads>},
    {.key = "limits",
     .help = "What a client may ask for.",
     .settings = kLimits,
     .open = open<&ServerConfig::limits>},
    {.key = "cors",
     .help = "Calls from web pages of other origins.",
     .settings = kCors,
     .open = open<&ServerConfig::cors>},
    {.key = "log",
     .help = "What the server says about itself, on standard error.",
     .settings = kLog,
     .open = open<&ServerConfig::log>},
    {.key = "access_log",
     .help = "One line per request.",
     .settings = kAccessLog,
     .open = open<&ServerConfig::access_log>},
    {.key = "metrics",
     .help = "Numbers for Prometheus.",
     .settings = kMetrics,
     .open = open<&ServerConfig::metrics>},
    {.key = "hooks",
     .help = "What happens to the text of answers, in this order.",
     .settings = kHook,
     .open = default_item<HookConfig>,
     .list = list_of<&ServerConfig::hooks>(),
     .items_max = 64},
};

const Section kRoot = {
    .key = "", .help = "", .settings = kTop, .sections = kSections, .open = nullptr};

void collect_flags(const Section& section, const std::string& path,
                   std::vector<ConfigFlag>& flags) {
  for (const Setting& setting : section.settings) {
    if (setting.flag != nullptr) {
      flags.push_back({setting.flag, join_path(path, setting.key), &setting});
    }
  }
  for (const Section& inner : section.sections) {
    const std::string inner_path = join_path(path, inner.key);
    collect_flags(inner, inner.is_list() ? inner_path + ".0" : inner_path, flags);
  }
}

}  // namespace

const Section& config_schema() {
  return kRoot;
}

std::string join_path(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::vector<ConfigFlag> config_flags() {
  std::vector<ConfigFlag> flags;
  collect_flags(config_schema(), "", flags);
  return flags;
}

}  // namespace millrace
