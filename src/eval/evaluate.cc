#include "eval/evaluate.h"

#include <algorithm>

namespace ponder {
namespace {

EvalSample graded(const Answer& answer, const Tokenizer& tokenizer, const Task& task,
                  const Problem& problem) {
  EvalSample out;
  out.tokens = answer.tokens;
  out.finish = answer.reason;
  std::span<const int32_t> body = answer.tokens;
  if (answer.reason == FinishReason::kStop && !body.empty()) body = body.first(body.size() - 1);
  out.text = tokenizer.decode(body, false);
  out.grade = task.grade(problem, out.text);
  if (task.language_share != nullptr) out.language = task.language_share(problem, out.text);
  if (task.readable != nullptr) out.readable = task.readable(problem, out.text);
  return out;
}

Status summarize(EvalReport& report, const EvalSettings& settings) {
  std::vector<int> correct;
  std::vector<Votes> votes;
  double samples = 0, truncated = 0, formatted = 0, length = 0;
  MeanOfSome language, readable;
  for (const EvalRow& row : report.rows) {
    correct.push_back(0);
    Votes v;
    v.gold = row.problem.key;
    for (const EvalSample& s : row.samples) {
      correct.back() += s.grade.accuracy;
      v.keys.push_back(s.grade.has_key ? std::optional<std::string>(s.grade.key) : std::nullopt);
      samples += 1;
      truncated += s.finish == FinishReason::kLength ? 1 : 0;
      formatted += s.grade.format;
      length += static_cast<double>(s.tokens.size());
      ++report.verdicts[s.grade.reason];
      language.add(s.language);
      readable.add(s.readable);
    }
    votes.push_back(std::move(v));
  }
  report.truncated = truncated / samples;
  report.format_rate = formatted / samples;
  report.length_mean = length / samples;
  report.language = language.value();
  report.readable = readable.value();
  const int samples_each = static_cast<int>(settings.samples);
  ASSIGN_OR_RETURN(report.pass1, pass_at_k(correct, samples_each, 1));
  for (int64_t k : settings.ks) {
    ASSIGN_OR_RETURN(Estimate pass, pass_at_k(correct, samples_each, static_cast<int>(k)));
    ASSIGN_OR_RETURN(Estimate cons, cons_at_k(votes, static_cast<int>(k)));
    report.pass_at.emplace_back(k, std::move(pass));
    report.cons_at.emplace_back(k, std::move(cons));
  }
  return {};
}

}  // namespace

Result<EvalReport> evaluate(Engine& engine, const ChatFormat& format, const Task& task,
                            std::span<const Problem> problems, const EvalSettings& settings,
                            const EvalProgress& progress) {
  if (problems.empty()) return invalid("evaluation: there are no problems");
  std::vector<RequestId> requests;
  for (size_t p = 0; p < problems.size(); ++p) {
    Request request;
    ASSIGN_OR_RETURN(ChatPrompt prompt, format.question(problems[p].prompt));
    request.prompt = std::move(prompt.ids);
    request.n = static_cast<int32_t>(settings.samples);
    request.sampling = settings.sampling;
    request.key = settings.key + p * static_cast<uint64_t>(settings.samples);
    ASSIGN_OR_RETURN(const RequestId id, engine.submit(std::move(request)));
    requests.push_back(id);
  }
  EvalReport report;
  report.rows.resize(problems.size());
  size_t done = 0;
  while (done < problems.size()) {
    RETURN_IF_ERROR(engine.step());
    const size_t before = done;
    for (size_t p = 0; p < requests.size(); ++p) {
      if (requests[p] == 0 || !engine.finished(requests[p])) continue;
      ASSIGN_OR_RETURN(const Output output, engine.take(requests[p]));
      requests[p] = 0;
      ++done;
      report.rows[p].problem = problems[p];
      for (const Answer& answer : output.answers) {
        if (answer.reason == FinishReason::kError) return invalid("sampling: " + answer.error);
        report.rows[p].samples.push_back(graded(answer, format.tokenizer(), task, problems[p]));
      }
    }
    if (progress && done != before) progress(done, problems.size());
  }
  RETURN_IF_ERROR(summarize(report, settings));
  return report;
}

}  // namespace ponder
