#include "train/run_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/file.h"
#include "train/recipe.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxLine = size_t{4} << 20;  // bytes; longer lines are skipped
constexpr size_t kMaxText = 4000;             // bytes of a text that are shown
constexpr size_t kMaxSummary = size_t{4} << 20;
constexpr size_t kMaxRows = 2'000'000;
constexpr size_t kSampleRows = 100;  // completions looked at on either end

bool is_there(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

std::string text_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return "";
  const std::string& text = it->get_ref<const std::string&>();
  return text.size() <= kMaxText ? text : text.substr(0, kMaxText) + "...";
}

double number_of(const Json& object, const char* key, double fallback) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : fallback;
}

void add_numbers(const Json& object, std::map<std::string, double>& out,
                 const std::string& prefix = "") {
  for (const auto& [key, value] : object.items()) {
    if (value.is_number() && std::isfinite(value.get<double>())) {
      out[prefix + key] = value.get<double>();
    }
  }
}

// The line as an object, or a discarded value.
Json object_of(std::string_view line) {
  if (line.size() > kMaxLine) return Json(Json::value_t::discarded);
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json(Json::value_t::discarded);
}

// The lines of a text in order, without their ends.
std::vector<std::string_view> lines_of(std::string_view text, size_t most) {
  std::vector<std::string_view> out;
  while (!text.empty() && out.size() < most) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// The last `most` lines.
std::vector<std::string_view> last_lines_of(std::string_view text, size_t most) {
  size_t begin = text.size();
  if (begin > 0 && text[begin - 1] == '\n') --begin;
  for (size_t lines = 0; begin > 0; --begin) {
    if (text[begin - 1] == '\n' && ++lines == most) break;
  }
  return lines_of(text.substr(begin), most);
}

Status read_metrics(const std::string& path, RunLog& log) {
  ASSIGN_OR_RETURN(const std::string text, read_file(path));
  for (std::string_view line : lines_of(text, kMaxRows)) {
    const Json json = object_of(line);
    if (json.is_discarded()) {
      ++log.skipped_lines;
      continue;
    }
    MetricRow row;
    row.stage = text_of(json, "stage");
    row.eval = text_of(json, "eval");
    row.step = number_of(json, "step", 0);
    add_numbers(json, row.numbers);
    if (const auto rewards = json.find("rewards"); rewards != json.end() && rewards->is_object()) {
      add_numbers(*rewards, row.numbers, "rewards.");
    }
    log.metrics.push_back(std::move(row));
  }
  return {};
}

void add_completions(const std::vector<std::string_view>& lines, std::vector<CompletionRow>& out,
                     int64_t& skipped) {
  for (std::string_view line : lines) {
    const Json json = object_of(line);
    if (json.is_discarded()) {
      ++skipped;
      continue;
    }
    CompletionRow row;
    row.step = number_of(json, "step", 0);
    row.stage = text_of(json, "stage");
    row.prompt = text_of(json, "prompt");
    row.text = text_of(json, "text");
    row.finish = text_of(json, "finish_reason");
    row.verdict = text_of(json, "verdict");
    row.advantage = number_of(json, "advantage", 0);
    if (const auto ids = json.find("ids"); ids != json.end() && ids->is_array()) {
      row.length = static_cast<double>(ids->size());
    }
    if (const auto rewards = json.find("rewards"); rewards != json.end() && rewards->is_object()) {
      add_numbers(*rewards, row.rewards);
    }
    out.push_back(std::move(row));
  }
}

Status read_completions(const std::string& path, RunLog& log) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  add_completions(lines_of(text, kSampleRows), log.early, log.skipped_lines);
  int64_t cut = 0;  // counted above if the file is short
  add_completions(last_lines_of(text, kSampleRows), log.late, cut);
  // One step each: the very first and the very last.
  const auto keep = [](std::vector<CompletionRow>& rows, double step) {
    std::erase_if(rows, [step](const CompletionRow& row) { return row.step != step; });
  };
  if (!log.early.empty()) keep(log.early, log.early.front().step);
  if (!log.late.empty()) keep(log.late, log.late.back().step);
  return {};
}

void read_summary(std::string_view text, RunLog& log) {
  const Json json = object_of(text);
  if (json.is_discarded()) {
    ++log.skipped_lines;
    return;
  }
  for (const auto& [key, value] : json.items()) {
    if (value.is_string()) {
      log.summary.emplace_back(key, text_of(json, key.c_str()));
    } else if (value.is_number_integer()) {
      log.summary.emplace_back(key, fmt::format("{}", value.get<int64_t>()));
    } else if (value.is_number()) {
      log.summary.emplace_back(key, fmt::format("{:.6g}", value.get<double>()));
    } else if (value.is_boolean()) {
      log.summary.emplace_back(key, value.get<bool>() ? "true" : "false");
    }
  }
  if (const auto phases = json.find("phases"); phases != json.end() && phases->is_object()) {
    add_numbers(*phases, log.phases);
  }
}

}  // namespace

double MetricRow::get(const std::string& key) const {
  const auto it = numbers.find(key);
  return it == numbers.end() ? std::numeric_limits<double>::quiet_NaN() : it->second;
}

std::string largest_vote(const MetricRow& row) {
  std::string best;
  int most = 1;
  for (const auto& [key, value] : row.numbers) {
    if (!key.starts_with("cons@") || key.size() > 12) continue;
    int k = 0;
    for (char c : key.substr(5))
      k = c >= '0' && c <= '9' && k < 1'000'000 ? 10 * k + (c - '0') : -1;
    if (k > most) {
      most = k;
      best = key;
    }
  }
  return best;
}

Result<RunLog> read_run_log(const std::string& run_dir) {
  RunLog log;
  RETURN_IF_ERROR(read_metrics(run_dir + "/metrics.jsonl", log));
  if (is_there(run_dir + "/completions.jsonl")) {
    RETURN_IF_ERROR(read_completions(run_dir + "/completions.jsonl", log));
  }
  if (is_there(run_dir + "/summary.json")) {
    ASSIGN_OR_RETURN(const std::string summary, read_file(run_dir + "/summary.json", kMaxSummary));
    read_summary(summary, log);
  }
  if (is_there(run_dir + "/recipe.toml")) {
    ASSIGN_OR_RETURN(log.recipe, read_file(run_dir + "/recipe.toml", kMaxRecipeBytes));
  }
  // Without a summary (a run cut off) the phases are the sums of the steps' own.
  if (log.phases.empty()) {
    for (const MetricRow& row : log.metrics) {
      for (const auto& [key, value] : row.numbers) {
        if (key.starts_with("seconds_")) log.phases[key.substr(8)] += value;
      }
    }
  }
  return log;
}

}  // namespace ponder
