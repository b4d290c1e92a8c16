// What the server counts, in Prometheus' text format.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/generate.h"

namespace ponder {

// Counts of values by upper bound. Not thread-safe.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void add(double value, uint64_t times = 1);
  // `labels`: "model=\"x\"", perhaps empty.
  void write(std::string& out, std::string_view name, std::string_view labels) const;

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> counts_;
  double sum_ = 0;
};

struct EngineStats;

// What an engine says about itself, for the page.
struct ModelGauges {
  std::string model;
  int64_t running = 0, waiting = 0, pages = 0, pages_in_use = 0, pages_cached = 0;
  int64_t hit_tokens = 0, miss_tokens = 0, prefill_tokens = 0, decode_tokens = 0, preemptions = 0;
  double prefill_seconds = 0, decode_seconds = 0;
};

class Metrics {
 public:
  void count_http(std::string_view dialect, int status);
  // An answered request; `budget_stop`: its thinking was ended by its budget.
  void count_request(const std::string& model, const Usage& usage,
                     const std::vector<Finish>& finishes, int64_t budget_stops);
  void count_token_gap(const std::string& model, double seconds);

  std::string page(const std::vector<ModelGauges>& gauges, int connections) const;

 private:
  struct PerModel {
    PerModel();
    int64_t prompt = 0, completion = 0, reasoning = 0, hit = 0, budget_stops = 0;
    std::map<std::string, int64_t> finished;
    Histogram first_token, gap, whole, queue, prompt_tokens, completion_tokens;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> http_;
  std::map<std::string, PerModel> models_;
};

const char* finish_name(Finish finish);

}  // namespace ponder
