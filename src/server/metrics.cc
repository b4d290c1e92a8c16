#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace ponder {
namespace {

std::vector<double> second_bounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
}
std::vector<double> token_bounds() {
  return {1, 4, 16, 64, 256, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};
}

// A label's value: quotes, backslashes and line ends escaped.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

}  // namespace

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::kNone:
      return "none";
    case Finish::kStop:
      return "stop";
    case Finish::kLength:
      return "length";
    case Finish::kToolCalls:
      return "tool_calls";
    case Finish::kCancelled:
      return "abort";
    case Finish::kLoop:
      return "repetition";
    case Finish::kDeadline:
      return "deadline";
    case Finish::kError:
      return "error";
  }
  return "unknown";
}

void Histogram::add(double value, uint64_t times) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  counts_[static_cast<size_t>(at - bounds_.begin())] += times;
  sum_ += value * static_cast<double>(times);
}

void Histogram::write(std::string& out, std::string_view name, std::string_view labels) const {
  uint64_t total = 0;
  const char* comma = labels.empty() ? "" : ",";
  for (size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    out += fmt::format("{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma, bound, total);
  }
  out +=
      fmt::format("{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, labels, sum_, name, labels, total);
}

Metrics::PerModel::PerModel()
    : first_token(second_bounds()),
      gap(second_bounds()),
      whole(second_bounds()),
      queue(second_bounds()),
      prompt_tokens(token_bounds()),
      completion_tokens(token_bounds()) {}

void Metrics::count_http(std::string_view dialect, int status) {
  const std::lock_guard lock(mutex_);
  ++http_[{std::string(dialect), status}];
}

void Metrics::count_request(const std::string& model, const Usage& usage,
                            const std::vector<Finish>& finishes, int64_t budget_stops) {
  const std::lock_guard lock(mutex_);
  PerModel& m = models_[model];
  m.prompt += usage.prompt;
  m.completion += usage.completion;
  m.reasoning += usage.reasoning;
  m.hit += usage.hit;
  m.budget_stops += budget_stops;
  for (const Finish finish : finishes) ++m.finished[finish_name(finish)];
  if (usage.completion > 0) m.first_token.add(usage.first_token_seconds);
  m.queue.add(usage.queue_seconds);
  m.whole.add(usage.total_seconds);
  m.prompt_tokens.add(static_cast<double>(usage.prompt));
  m.completion_tokens.add(static_cast<double>(usage.completion));
}

void Metrics::count_token_gap(const std::string& model, double seconds) {
  const std::lock_guard lock(mutex_);
  models_[model].gap.add(seconds);
}

std::string Metrics::page(const std::vector<ModelGauges>& gauges, int connections) const {
  std::string out;
  const std::lock_guard lock(mutex_);
  head(out, "ponder_http_connections", "gauge", "Open connections.");
  out += fmt::format("ponder_http_connections {}\n", connections);
  head(out, "ponder_http_requests_total", "counter", "Answered HTTP requests.");
  for (const auto& [key, count] : http_) {
    out += fmt::format("ponder_http_requests_total{{dialect=\"{}\",status=\"{}\"}} {}\n", key.first,
                       key.second, count);
  }
  // A series under our own name and under those that dashboards for other servers look for.
  const auto series = [&](const char* type, const char* help, std::vector<const char*> names,
                          const auto& value) {
    for (const char* name : names) {
      head(out, name, type, help);
      for (const auto& [model, m] : models_) {
        out += fmt::format("{}{{model_name=\"{}\"}} {}\n", name, escaped(model), value(m));
      }
    }
  };
  series("counter", "Prompt tokens.",
         {"ponder_prompt_tokens_total", "vllm:prompt_tokens_total", "llamacpp:prompt_tokens_total"},
         [](const PerModel& m) { return m.prompt; });
  series("counter", "Generated tokens, thinking included.",
         {"ponder_generation_tokens_total", "vllm:generation_tokens_total",
          "llamacpp:tokens_predicted_total"},
         [](const PerModel& m) { return m.completion; });
  series("counter", "Generated tokens of thinking.", {"ponder_thinking_tokens_total"},
         [](const PerModel& m) { return m.reasoning; });
  series("counter", "Prompt tokens found in the prefix cache.",
         {"ponder_prompt_hit_tokens_total", "vllm:prefix_cache_hits_total"},
         [](const PerModel& m) { return m.hit; });
  series("counter", "Answers whose thinking was ended by its budget.",
         {"ponder_thinking_budget_stops_total"}, [](const PerModel& m) { return m.budget_stops; });
  for (const char* name : {"ponder_answers_total", "vllm:request_success_total"}) {
    head(out, name, "counter", "Finished answers.");
    for (const auto& [model, m] : models_) {
      for (const auto& [reason, count] : m.finished) {
        out += fmt::format("{}{{model_name=\"{}\",finished_reason=\"{}\"}} {}\n", name,
                           escaped(model), reason, count);
      }
    }
  }
  const auto histogram = [&](const char* help, std::vector<const char*> names,
                             Histogram PerModel::*which) {
    for (const char* name : names) {
      head(out, name, "histogram", help);
      for (const auto& [model, m] : models_) {
        (m.*which).write(out, name, fmt::format("model_name=\"{}\"", escaped(model)));
      }
    }
  };
  histogram("Seconds from a request to its first token.",
            {"ponder_time_to_first_token_seconds", "vllm:time_to_first_token_seconds"},
            &PerModel::first_token);
  histogram("Seconds between tokens of an answer.",
            {"ponder_inter_token_seconds", "vllm:inter_token_latency_seconds"}, &PerModel::gap);
  histogram("Seconds of a whole request.",
            {"ponder_request_seconds", "vllm:e2e_request_latency_seconds"}, &PerModel::whole);
  histogram("Seconds until a request's model was ready and the request queued.",
            {"ponder_request_prepare_seconds"}, &PerModel::queue);
  histogram("Prompt tokens of a request.", {"ponder_request_prompt_tokens"},
            &PerModel::prompt_tokens);
  histogram("Generated tokens of a request.", {"ponder_request_generation_tokens"},
            &PerModel::completion_tokens);
  const auto gauge = [&](const char* type, const char* help, std::vector<const char*> names,
                         const auto& value) {
    for (const char* name : names) {
      head(out, name, type, help);
      for (const ModelGauges& g : gauges) {
        out += fmt::format("{}{{model_name=\"{}\"}} {}\n", name, escaped(g.model), value(g));
      }
    }
  };
  using G = const ModelGauges&;
  gauge("gauge", "Requests under way.",
        {"ponder_requests_running", "vllm:num_requests_running", "llamacpp:requests_processing"},
        [](G g) { return g.running; });
  gauge("gauge", "Requests that wait.",
        {"ponder_requests_waiting", "vllm:num_requests_waiting", "llamacpp:requests_deferred"},
        [](G g) { return g.waiting; });
  gauge("gauge", "Share of the key-value cache in use by answers.",
        {"ponder_kv_cache_usage", "vllm:kv_cache_usage_perc"}, [](G g) {
          return g.pages > 0 ? static_cast<double>(g.pages_in_use) / static_cast<double>(g.pages)
                             : 0.0;
        });
  gauge("gauge", "Pages of prefixes kept for later requests.", {"ponder_kv_pages_cached"},
        [](G g) { return g.pages_cached; });
  gauge("counter", "Prompt tokens found in the prefix cache, by the engine's count.",
        {"ponder_engine_hit_tokens_total"}, [](G g) { return g.hit_tokens; });
  gauge("counter", "Prompt tokens computed, by the engine's count.",
        {"ponder_engine_miss_tokens_total"}, [](G g) { return g.miss_tokens; });
  gauge("counter", "Rows of prompts computed.", {"ponder_prefill_tokens_total"},
        [](G g) { return g.prefill_tokens; });
  gauge("counter", "Seconds of computing prompts.", {"ponder_prefill_seconds_total"},
        [](G g) { return g.prefill_seconds; });
  gauge("counter", "Rows of answers computed.", {"ponder_decode_tokens_total"},
        [](G g) { return g.decode_tokens; });
  gauge("counter", "Seconds of computing answers.", {"ponder_decode_seconds_total"},
        [](G g) { return g.decode_seconds; });
  gauge("counter", "Sequences that gave their pages back and were computed again.",
        {"ponder_preemptions_total", "vllm:num_preemptions_total"},
        [](G g) { return g.preemptions; });
  return out;
}

}  // namespace ponder
