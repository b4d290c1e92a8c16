#include "eval/problem_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "eval/answer_verify.h"
#include "eval/reasoner_language.h"
#include "io/jsonl.h"

namespace ponder {
namespace {

size_t count_of(std::string_view text, std::string_view word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + word.size())) {
    ++count;
  }
  return count;
}

bool boxed_behind_thinking(std::string_view completion) {
  constexpr std::string_view kEnd = "</think>";
  const size_t ends = count_of(completion, kEnd);
  if (ends > 1 || count_of(completion, "<think>") > ends) return false;
  if (ends == 1) completion.remove_prefix(completion.find(kEnd));
  return completion.find("\\boxed{") != std::string_view::npos;
}

Grade grade_verified(const Problem& problem, std::string_view completion) {
  VerifyOptions options;
  options.question = problem.prompt;
  const Verdict verdict = verify(problem.gold, completion, options);
  Grade grade;
  grade.accuracy = verdict.equal ? 1 : 0;
  grade.format = boxed_behind_thinking(completion) ? 1 : 0;
  grade.reason = verdict.equal ? (grade.format == 1 ? "ok" : "bad_format") : verdict.reason;
  grade.has_key = !verdict.key.empty();
  grade.key = verdict.key;
  return grade;
}

// Up to </think>, or all of it.
double language_of_thinking(const Problem& problem, std::string_view completion) {
  return script_share(completion.substr(0, completion.find("</think>")),
                      language_of(problem.prompt));
}

std::string answer_of(const nlohmann::json& row) {
  const auto found = row.find("answer");
  if (found == row.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_number() ? found->dump() : "";
}

}  // namespace

Result<std::vector<Problem>> read_problem_file(const std::string& path) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(path));
  std::vector<Problem> out;
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    const auto wrong = [&](std::string_view expected) {
      return invalid(fmt::format("{}:{}: expected {}", path, reader.line(), expected));
    };
    if (!row.is_object()) return wrong("an object with \"prompt\" and \"answer\"");
    const auto prompt = row.find("prompt");
    if (prompt == row.end() || !prompt->is_string() ||
        prompt->get_ref<const std::string&>().empty()) {
      return wrong("a string \"prompt\"");
    }
    const std::string answer = answer_of(row);
    if (answer.empty()) return wrong("an \"answer\", a string or a number, to grade by");
    const std::string key = verify(answer, answer).key;
    if (key.empty()) return wrong("an \"answer\" that the verifier can read");
    out.push_back({prompt->get<std::string>(), answer, key, 0});
  }
  if (out.empty())
    return invalid(path + ": has no rows; expected {\"prompt\", \"answer\"} in each");
  return out;
}

const Task& verified_task() {
  static constexpr Task kTask = {.name = "data",
                                 .about = "rows of a file with known answers",
                                 .validate = nullptr,
                                 .make_problem = nullptr,
                                 .parse_problem = nullptr,
                                 .make_example = nullptr,
                                 .grade = grade_verified,
                                 .language_share = language_of_thinking};
  return kTask;
}

}  // namespace ponder
