// ponder grade FILE.jsonl [--task NAME]: a verdict for each row.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "eval/answer_verify.h"
#include "eval/chain.h"
#include "eval/countdown.h"
#include "io/jsonl.h"

namespace ponder {
namespace {

struct Options {
  std::string file, task;
};

// Neither a fraction is cut off nor a large number wrapped, as get<int>() would.
int integer(const nlohmann::json& value, const char* key) {
  if (value.is_number_unsigned() ? value.get<uint64_t>() > INT32_MAX
                                 : !value.is_number_integer() || value.get<int64_t>() < INT32_MIN) {
    throw nlohmann::json::other_error::create(
        500, std::string(key) + ": expected an integer of 32 bits", &value);
  }
  return value.get<int>();
}

// {prompt, completion, answer} -> {accuracy, format, reason}
nlohmann::json grade_chain_row(const nlohmann::json& row) {
  const Grade g =
      grade_chain(row.at("completion").get<std::string>(), integer(row.at("answer"), "answer"));
  return {{"accuracy", g.accuracy}, {"format", g.format}, {"reason", std::string(g.reason)}};
}

// {numbers, target, expression or repeat: {unit, times}} -> {correct, reason}
Result<nlohmann::json> grade_countdown_row(const nlohmann::json& row) {
  CountdownProblem problem{{}, integer(row.at("target"), "target")};
  for (const nlohmann::json& number : row.at("numbers"))
    problem.numbers.push_back(integer(number, "numbers"));
  RETURN_IF_ERROR(validate(problem));
  std::string expression;
  if (row.contains("repeat")) {
    const std::string unit = row.at("repeat").at("unit").get<std::string>();
    const int64_t times = integer(row.at("repeat").at("times"), "repeat.times");
    constexpr int64_t kMost = 1 << 24;
    if (times < 0 || times > kMost ||
        static_cast<int64_t>(unit.size()) > kMost / std::max<int64_t>(1, times)) {
      return invalid("repeat: expected a result of at most 16 MiB");
    }
    for (int64_t i = 0; i < times; ++i) expression += unit;
  } else {
    expression = row.at("expression").get<std::string>();
  }
  const auto verdict = grade_countdown(expression, problem);
  return nlohmann::json{{"correct", verdict.correct}, {"reason", std::string(verdict.reason)}};
}

// How the row's grader goes about it. `options` names what differs from its defaults, which are not
// all ours: without `allow_set_relation_comp` an inequality is no answer to a set.
VerifyOptions verify_options(const nlohmann::json& row) {
  VerifyOptions o;
  if (row.contains("question")) o.question = row.at("question").get<std::string>();
  if (row.contains("choices")) o.choices = row.at("choices").get<std::vector<std::string>>();
  if (!row.contains("options")) return o;
  const nlohmann::json& options = row.at("options");
  o.relation_for_set = options.value("allow_set_relation_comp", false);
  o.strict = options.value("strict", true);
  if (options.contains("precision")) {
    o.precision = std::clamp(integer(options.at("precision"), "precision"), 0, 30);
    o.round_both = true;
  }
  if (options.contains("match_types")) {
    const auto types = options.at("match_types").get<std::vector<std::string>>();
    o.latex = std::find(types.begin(), types.end(), "latex") != types.end();
    o.expressions = std::find(types.begin(), types.end(), "expr") != types.end();
  }
  const auto policy = options.value("policy", std::string());
  o.ordered_lists = policy.find("order of a list matters") != std::string::npos;
  o.need_thinking_end = policy.find("no </think> means wrong") != std::string::npos;
  return o;
}

// {gold, answer, options?, question?, choices?} -> {equal, reason, key}
nlohmann::json grade_answer_row(const nlohmann::json& row) {
  const Verdict v = verify(row.at("gold").get<std::string>(), row.at("answer").get<std::string>(),
                           verify_options(row));
  return {{"equal", v.equal}, {"reason", std::string(v.reason)}, {"key", v.key}};
}

Result<nlohmann::json> grade_row(const std::string& task, const nlohmann::json& row) {
  try {
    if (task.empty()) return grade_answer_row(row);
    if (task == "countdown") return grade_countdown_row(row);
    return grade_chain_row(row);
  } catch (const nlohmann::json::exception& e) {
    return invalid(std::string("a field is missing or of the wrong type: ") + e.what());
  }
}

Status grade(const Options& o) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(o.file));
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) return {};
    const Result<nlohmann::json> verdict = grade_row(o.task, row);
    if (!verdict.ok())
      return verdict.status().with_prefix(fmt::format("{}:{}", o.file, reader.line()));
    fmt::print("{}\n", verdict->dump());
  }
}

}  // namespace

Verb add_grade(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("file", o->file, "JSON lines")->required();
  app.add_option("--task", o->task,
                 "a task whose rows these are; without it each row is {\"gold\", \"answer\"}")
      ->check(CLI::IsMember({"chain", "chain97", "countdown"}));
  app.footer(
      "Examples: ponder grade answers.jsonl\n"
      "          ponder grade completions.jsonl --task chain97");
  return [o] { return grade(*o); };
}

}  // namespace ponder
