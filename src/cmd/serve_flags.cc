#include "cmd/serve_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace ponder {
namespace {

constexpr const char* kOneProcess = "the model runs in this one process";
constexpr const char* kOwnTypes = "weights keep the type of their file";
constexpr const char* kAlways = "that is always so here";
constexpr const char* kNoGraphs = "there are no captured graphs to turn off";
constexpr const char* kNoAccelerator = "there is no accelerator whose memory it could set";

constexpr IdleFlag kIdleFlags[] = {
    // vLLM's
    {"--tensor-parallel-size", true, kOneProcess},
    {"--pipeline-parallel-size", true, kOneProcess},
    {"--data-parallel-size", true, kOneProcess},
    {"--enable-expert-parallel", false, kOneProcess},
    {"--api-server-count", true, kOneProcess},
    {"--distributed-executor-backend", true, kOneProcess},
    {"--enforce-eager", false, kNoGraphs},
    {"--compilation-config", true, kNoGraphs},
    {"--gpu-memory-utilization", true, kNoAccelerator},
    {"--cpu-offload-gb", true, kNoAccelerator},
    {"--swap-space", true, "answers that must wait are computed again, not swapped"},
    {"--block-size", true, "pages have 64 tokens"},
    {"--enable-prefix-caching", false, kAlways},
    {"--prefix-caching-hash-algo", true, "pages are found by their tokens"},
    {"--enable-chunked-prefill", false, kAlways},
    {"--async-scheduling", false, kAlways},
    {"--scheduling-policy", true, "keys share the engine evenly"},
    {"--max-num-partial-prefills", true, "prompts share the chunk"},
    {"--stream-interval", true, "every token is sent"},
    {"--quantization", true, kOwnTypes},
    {"--dtype", true, kOwnTypes},
    {"--load-format", true, "the file tells"},
    {"--config-format", true, "the file tells"},
    {"--tokenizer-mode", true, "the file tells"},
    {"--trust-remote-code", false, "no code that comes with a model is ever run"},
    {"--reasoning-parser", true, "thinking is told by tokens, for every model"},
    {"--enable-reasoning", false, kAlways},
    {"--enable-auto-tool-choice", false, kAlways},
    {"--tool-call-parser", true, "the model's vocabulary tells"},
    {"--max-logprobs", true, "it is 20"},
    {"--seed", true, "a request without a seed draws one and says which"},
    {"--disable-log-stats", false, "there is no such log; see /metrics"},
    {"--enable-prompt-tokens-details", false, kAlways},
    {"--enable-force-include-usage", false, "stream_options.include_usage asks for it"},
    {"--enable-sleep-mode", false, "an idle server takes no time"},
    {"--uvicorn-log-level", true, "see --disable-log-requests"},
    {"--disable-frontend-multiprocessing", false, kOneProcess},
    {"--download-dir", true, "models lie in the store"},
    {"--revision", true, "models lie in the store"},
    // llama-server's
    {"--n-gpu-layers", true, kNoAccelerator},
    {"--flash-attn", false, kAlways},
    {"--cont-batching", false, kAlways},
    {"--jinja", false, kAlways},
    {"--metrics", false, kAlways},
    {"--no-webui", false, "there is none yet"},
    {"--mlock", false, "the system keeps pages that are in use"},
    {"--no-mmap", false,
     "weights in other types than the kernels' own are repacked, the rest mapped"},
    {"--reasoning-format", true, "thinking always has its own field"},
};

size_t distance(std::string_view a, std::string_view b) {  // Levenshtein's
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

void add_idle_flags(CLI::App& app, std::vector<std::string>& notes) {
  for (const IdleFlag& flag : kIdleFlags) {
    const std::string note = fmt::format("{} has no effect: {}", flag.name, flag.why);
    CLI::Option* option = nullptr;
    if (flag.takes_value) {
      option = app.add_option_function<std::string>(
          flag.name, [&notes, note](const std::string&) { notes.push_back(note); });
    } else {
      option = app.add_flag_callback(flag.name, [&notes, note] { notes.push_back(note); });
    }
    option->group("");
  }
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  size_t least = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : known) {
    const size_t d = distance(word, name);
    if (d < least) {
      least = d;
      best = name;
    }
  }
  return best;
}

std::optional<int64_t> parse_count(std::string_view text) {
  if (text == "auto") return 0;
  double scale = 1;
  if (!text.empty()) {
    switch (text.back()) {
      case 'k':
        scale = 1000;
        break;
      case 'K':
        scale = 1024;
        break;
      case 'm':
        scale = 1e6;
        break;
      case 'M':
        scale = 1 << 20;
        break;
      default:
        break;
    }
    if (scale > 1) text.remove_suffix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0)) return {};
  value *= scale;
  if (value > 1e15 || value != std::floor(value)) return {};
  return static_cast<int64_t>(value);
}

Result<HostPort> parse_host(std::string_view text) {
  const std::string whole(text);
  if (const size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    text.remove_prefix(scheme + 3);
  }
  text = text.substr(0, text.find('/'));
  HostPort out;
  size_t end = text.find(':');
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return invalid(whole + ": expected HOST:PORT");
    out.host = text.substr(1, close - 1);
    end = close + 1 < text.size() ? close + 1 : std::string_view::npos;
  } else if (end != std::string_view::npos && text.find(':', end + 1) != std::string_view::npos) {
    out.host = text;  // an IPv6 address without brackets
    return out;
  } else {
    out.host = text.substr(0, end);
  }
  if (end == std::string_view::npos) return out;
  const std::string_view digits = text.substr(end + 1);
  uint16_t port = 0;
  const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || last != digits.data() + digits.size()) {
    return invalid(whole + ": the port must be a number up to 65535");
  }
  out.port = port;
  return out;
}

}  // namespace ponder
