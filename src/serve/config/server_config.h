// Everything that an operator sets, as plain values with their defaults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace millrace {

// Member names are the keys of the YAML file, see docs/configuration.md, except `service_class`
// ("class"). An empty text means "not set"; so does an absent optional. A value from read_config
// (config_reader.h) is within its limits and its parts agree with each other.

struct ListenConfig {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: the kernel chooses
};

struct TlsConfig {
  std::string certificate;  // PEM file with the chain; empty: no TLS
  std::string key;          // PEM file
};

// Everything that changes state is there and not on the public port. Absent port: no such listener.
struct AdminConfig {
  std::string address = "127.0.0.1";
  std::optional<std::uint16_t> port = std::nullopt;
  std::string key;       // never empty when there is a port
  std::string key_file;  // holds the key; read into it
};

struct ApiKeyConfig {
  std::string name;           // in logs and metrics; never the key itself
  std::string key;            // one of key, key_file and key_sha256
  std::string key_file;       // holds the key; read into it
  std::string key_sha256;     // 64 hexadecimal digits
  std::string service_class;  // empty: the request says, else the first class
  std::optional<std::uint64_t> tokens_per_minute = std::nullopt;
  std::optional<std::uint64_t> tokens_per_day = std::nullopt;
  std::optional<std::uint64_t> requests_per_minute = std::nullopt;
  std::vector<std::string> models;  // that it may use; empty: all
};

// What a request gets that does not say; absent: what the model's folder says, else the engine's.
struct SamplingDefaults {
  std::optional<double> temperature = std::nullopt;
  std::optional<double> top_p = std::nullopt;
  std::optional<std::uint64_t> top_k = std::nullopt;
  std::optional<double> min_p = std::nullopt;
  std::optional<double> repetition_penalty = std::nullopt;
  std::optional<double> presence_penalty = std::nullopt;
  std::optional<double> frequency_penalty = std::nullopt;
  std::optional<std::uint64_t> max_tokens = std::nullopt;

  bool operator==(const SamplingDefaults&) const = default;
};

struct AdapterConfig {
  std::string name;  // what requests give as their model
  std::string path;  // PEFT folder
};

enum class HotPromptKind : std::uint8_t {
  kText,    // tokens of the text as it stands
  kSystem,  // a system message, as the chat template puts it
};

// A prompt's beginning that is computed before the first client comes.
struct HotPromptConfig {
  std::string text;  // one of text and file
  std::string file;
  HotPromptKind kind = HotPromptKind::kSystem;
};

enum class MessageSpecials : std::uint8_t {
  kText,    // the text of a special token in a message stays text
  kTokens,  // it becomes that token, as with transformers' apply_chat_template
};

enum class OverlongPrompt : std::uint8_t {
  kRefuse,        // 400 with both numbers
  kTruncateLeft,  // the oldest tokens go
};

// What an embedding is made of: the hidden states of all tokens, or that of the last one.
enum class EmbeddingPooling : std::uint8_t { kMean, kLast };

struct ModelConfig {
  std::string name;  // what requests give as their model; empty: the last part of the path
  std::string path;  // Hugging Face folder, .gguf, llama2.c .bin or hf://owner/name[@revision]
  std::optional<std::uint64_t> context = std::nullopt;       // tokens of one sequence
  std::string kv_dtype = "f16";                              // f32, f16, bf16 or int8
  std::optional<std::uint64_t> memory_bytes = std::nullopt;  // weights, cache and activations
  std::string weight_format;                                 // empty: as the file has them
  std::optional<std::uint64_t> threads = std::nullopt;       // absent: one per core we may use
  std::string chat_template;                                 // file; empty: the model's own
  std::string tool_parser;                                   // empty: found out from the template
  std::string reasoning_parser;                              // empty: found out from the template
  OverlongPrompt overlong_prompt = OverlongPrompt::kRefuse;
  MessageSpecials special_tokens_in_messages = MessageSpecials::kText;
  EmbeddingPooling pooling = EmbeddingPooling::kMean;
  SamplingDefaults sampling;
  std::vector<AdapterConfig> adapters;
  std::vector<HotPromptConfig> hot_prompts;
};

// A ServiceClass of the engine as an operator writes it; service_classes() turns one into the
// other.
struct ClassConfig {
  std::string name;
  double share = 1.0;
  double share_min = 0.0;
  double share_max = 1.0;
  Duration first_token_target = std::chrono::seconds(1);
  std::optional<Duration> token_target = std::nullopt;
  std::uint64_t queued_requests_max = 1024;
  std::uint64_t queued_tokens_max = std::uint64_t{1} << 22;
  std::optional<Duration> queue_wait_max = std::nullopt;
  std::optional<std::uint64_t> threads_max = std::nullopt;  // absent: all
  std::optional<double> cache_part_max = std::nullopt;      // of the KV cache; absent: all
  std::optional<std::uint64_t> kv_bytes_max = std::nullopt;
  std::uint64_t cache_priority = 0;
};

struct ShareControllerConfig {
  bool enabled = false;
  Duration interval = std::chrono::seconds(1);
  double step = 0.05;
};

struct EngineConfig {
  std::uint64_t step_tokens_max = 256;
  std::uint64_t chunk_tokens_max = 256;
  std::uint64_t sequences_max = 32;
  std::uint64_t requests_max = 1024;
  bool overlap = false;
  bool prefix_reuse = true;
  std::optional<std::uint64_t> memory_bytes = std::nullopt;  // of all models; absent: what is free
  std::uint64_t shared_weights_bytes_max = std::uint64_t{500}
                                           << 20;  // shared between processes up to this size
  std::string cpu_isa;                             // empty: the best
  ShareControllerConfig share_controller;
};

struct ThreadsConfig {
  std::uint64_t io = 1;    // sockets
  std::uint64_t host = 1;  // tokenising, templates, grammars, formatting
};

struct LimitsConfig {
  std::uint64_t body_bytes_max = std::uint64_t{32} << 20;
  std::uint64_t header_bytes_max = std::uint64_t{32} << 10;
  std::uint64_t json_depth_max = 64;
  std::uint64_t choices_max = 16;  // n
  std::optional<std::uint64_t> max_tokens =
      std::nullopt;  // a request that asks for more is refused
  std::uint64_t stop_strings_max = 16;
  std::uint64_t connections_max = 4096;
  std::uint64_t stream_buffer_bytes_max = std::uint64_t{1} << 20;  // not yet taken by the client
  Duration request_time_max = std::chrono::minutes(10);
  Duration header_timeout = std::chrono::seconds(10);  // from the first byte to the last header
  Duration body_timeout = std::chrono::seconds(60);
  Duration idle_timeout = std::chrono::seconds(75);  // between requests of a connection
  Duration write_stall_timeout = std::chrono::seconds(30);
  Duration drain_timeout = std::chrono::seconds(60);
};

// Browsers of these origins may call us; none by default.
struct CorsConfig {
  std::vector<std::string> origins;  // "*" for any
  std::vector<std::string> headers = {"Authorization", "Content-Type"};
  Duration max_age = std::chrono::minutes(10);
};

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

enum class LogFormat : std::uint8_t { kText, kJson };

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

// One line of JSON per request.
struct AccessLogConfig {
  std::string path;                 // empty: none; "-": standard output
  std::vector<std::string> fields;  // empty: all
  std::uint64_t queued_lines_max = 8192;
};

enum class MetricsListener : std::uint8_t { kPublic, kAdmin, kOff };

struct MetricsConfig {
  MetricsListener listener = MetricsListener::kPublic;
};

enum class HookKind : std::uint8_t {
  kTrim,      // spaces and line ends around an answer
  kTidyJson,  // an answer that is JSON, written compactly
  kRedact,    // what the pattern matches, replaced
};

struct HookConfig {
  HookKind kind = HookKind::kTrim;
  std::string pattern;              // of kRedact
  std::string replacement;          // of kRedact
  std::vector<std::string> models;  // empty: all

  bool operator==(const HookConfig&) const = default;
};

enum class Profile : std::uint8_t { kNone, kRealtime, kBatch };

struct ServerConfig {
  Profile profile = Profile::kNone;
  ListenConfig listen;
  TlsConfig tls;
  AdminConfig admin;
  std::vector<ApiKeyConfig> api_keys;  // empty: everybody may
  std::vector<ModelConfig> models;
  std::vector<ClassConfig> classes;  // interactive 70 %, background 30 % when none is named
  EngineConfig engine;
  ThreadsConfig threads;
  LimitsConfig limits;
  CorsConfig cors;
  LogConfig log;
  AccessLogConfig access_log;
  MetricsConfig metrics;
  std::vector<HookConfig> hooks;
  std::string hot_prompt_cache;  // folder for computed hot prompts; empty: computed at each start
};

}  // namespace millrace
