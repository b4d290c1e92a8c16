#include "eval/benchmarks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "io/jsonl.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kBoxed =
    "Please reason step by step, and put your final answer within \\boxed{}.";
constexpr std::string_view kBoxedLetter =
    "Please reason step by step, and put the letter of your final answer within \\boxed{}.";
constexpr std::string_view kBoxedChinese = "请逐步推理，并把最终答案放在 \\boxed{} 中。";

// The paper: k = 64 for AIME, 16 for MATH, fewer where a set is large.
constexpr Benchmark kBenchmarks[] = {
    {"aime24", "aime24.jsonl", "AIME 2024, integers from 0 to 999", kBoxed, 64, "problem", "",
     "answer", "solution", "id", GoldKind::kInteger, "", 2024},
    {"aime25", "aime25.jsonl", "AIME 2025", kBoxed, 64, "question", "", "answer", "solution", "id",
     GoldKind::kInteger, "", 2025},
    {"aime26", "aime25_aime26.jsonl", "AIME 2026", kBoxed, 64, "question", "", "answer", "solution",
     "id", GoldKind::kInteger, "", 2026},
    {"hmmt", "hmmt.jsonl", "HMMT 2025, February and November", kBoxed, 64, "question", "", "answer",
     "", "id", GoldKind::kText, "source=contest problem_type=subject"},
    {"math500", "math500.jsonl", "MATH-500", kBoxed, 16, "problem", "", "answer", "solution",
     "unique_id", GoldKind::kText, "subject level"},
    {"amc23", "amc23.jsonl", "AMC 12 2023", kBoxed, 64, "problem", "", "answer", "", "id",
     GoldKind::kInteger, ""},
    {"gsm8k", "gsm8k_test.jsonl", "GSM8K, word problems in English", kBoxed, 4, "question", "",
     "answer", "answer", "", GoldKind::kHashes, ""},
    {"svamp", "svamp.jsonl", "SVAMP, short word problems with distractors", kBoxed, 4, "Question",
     "Body", "Answer", "", "ID", GoldKind::kText, "Type=type"},
    {"cmath", "cmath.jsonl", "CMATH, word problems in Chinese by school grade", kBoxedChinese, 4,
     "question", "", "golden", "", "", GoldKind::kText,
     "grade reasoning_step=steps num_digits=digits"},
    {"mmlu_stem", "mmlu_stem.jsonl", "MMLU, the subjects of science: four choices", kBoxedLetter, 4,
     "question", "", "answer", "", "", GoldKind::kChoice, "type=subject"},
    {"jsonl", "", "rows of your own: prompt, answer; also choices, id, solution, subject, level",
     "", 4, "prompt", "", "answer", "solution", "id", GoldKind::kText, "subject level"},
};

constexpr Published kPublished[] = {
    {"aime24", "DeepSeek-R1", 79.8, 86.7},
    {"aime24", "DeepSeek-R1-Zero", 71.0, 86.7},
    {"aime24", "R1-Distill-Qwen-1.5B", 28.9, 52.7},
    {"aime24", "R1-Distill-Qwen-7B", 55.5, 83.3},
    {"aime24", "R1-Distill-Qwen-14B", 69.7, 80.0},
    {"aime24", "R1-Distill-Qwen-32B", 72.6, 83.3},
    {"aime24", "R1-Distill-Llama-8B", 50.4, 80.0},
    {"aime24", "R1-Distill-Llama-70B", 70.0, 86.7},
    {"aime24", "Qwen-32B, RL only", 47.0, 60.0},
    {"aime24", "OpenAI o1-1217", 79.2, 0},
    {"aime24", "OpenAI o1-mini", 63.6, 80.0},
    {"aime24", "DeepSeek-V3", 39.2, 0},
    {"aime24", "GPT-4o-0513", 9.3, 13.4},
    {"aime24", "Claude-3.5-Sonnet-1022", 16.0, 26.7},
    {"math500", "DeepSeek-R1", 97.3, 0},
    {"math500", "DeepSeek-R1-Zero", 95.9, 0},
    {"math500", "R1-Distill-Qwen-1.5B", 83.9, 0},
    {"math500", "R1-Distill-Qwen-7B", 92.8, 0},
    {"math500", "R1-Distill-Qwen-14B", 93.9, 0},
    {"math500", "R1-Distill-Qwen-32B", 94.3, 0},
    {"math500", "R1-Distill-Llama-8B", 89.1, 0},
    {"math500", "R1-Distill-Llama-70B", 94.5, 0},
    {"math500", "Qwen-32B, RL only", 91.6, 0},
    {"math500", "OpenAI o1-1217", 96.4, 0},
    {"math500", "OpenAI o1-mini", 90.0, 0},
    {"math500", "DeepSeek-V3", 90.2, 0},
    {"math500", "GPT-4o-0513", 74.6, 0},
    {"math500", "Claude-3.5-Sonnet-1022", 78.3, 0},
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// A scalar as text: 145.0 is "145". Nothing for null, objects, lists of other things than text.
std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_unsigned()) return fmt::format("{}", value.get<uint64_t>());
  if (value.is_number_integer()) return fmt::format("{}", value.get<int64_t>());
  if (value.is_number()) {
    const double number = value.get<double>();
    if (!std::isfinite(number)) return std::nullopt;
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (number == std::floor(number) && std::abs(number) <= kExact)
      return fmt::format("{}", static_cast<int64_t>(number));
    return fmt::format("{}", number);  // the shortest digits that give it back
  }
  if (value.is_array()) {
    std::string joined;
    for (const Json& item : value) {
      if (!item.is_string()) return std::nullopt;
      joined += (joined.empty() ? "" : ", ") + item.get<std::string>();
    }
    return joined;
  }
  return std::nullopt;
}

std::string optional_text(const Json& row, std::string_view field) {
  const auto found = field.empty() ? row.end() : row.find(field);
  if (found == row.end()) return "";
  return text_of(*found).value_or("");
}

Result<std::string> required_text(const Json& row, std::string_view field) {
  const auto found = row.find(field);
  if (found == row.end())
    return invalid(fmt::format("the row has no \"{}\"; expected one with text in it", field));
  const std::optional<std::string> text = text_of(*found);
  if (!text || trimmed(*text).empty())
    return invalid(fmt::format("\"{}\": expected a text or a number that is not empty", field));
  return std::string(trimmed(*text));
}

Result<std::string> integer_gold(std::string_view text) {
  const bool minus = text.starts_with("-");
  std::string_view digits = text.substr(minus ? 1 : 0);
  const bool all = !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0;
  });
  if (!all) return invalid(fmt::format("the answer {}: expected an integer", in_quotes(text)));
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return (minus && digits != "0" ? "-" : "") + std::string(digits);
}

Result<std::vector<std::string>> choices_of(const Json& row) {
  const auto found = row.find("choices");
  if (found == row.end()) return invalid("the row has no \"choices\"");
  std::vector<std::string> out;
  for (const Json& item : *found) {
    const std::optional<std::string> text = item.is_array() ? std::nullopt : text_of(item);
    if (!text) return invalid("\"choices\": expected a list of texts");
    out.push_back(*text);
  }
  constexpr size_t kMost = 10;  // the verifier knows the letters A to J
  if (!found->is_array() || out.size() < 2 || out.size() > kMost)
    return invalid(fmt::format("\"choices\": expected a list of 2 to {} texts", kMost));
  return out;
}

// "2" or "C" of four choices is "C".
Result<std::string> letter_of(const Json& answer, size_t choices) {
  int64_t index = -1;
  if (answer.is_number_integer() && answer >= 0 && answer < 10) index = answer.get<int64_t>();
  if (answer.is_string()) {
    const auto text = answer.get<std::string>();
    if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'J') index = text[0] - 'A';
  }
  if (index < 0 || index >= static_cast<int64_t>(choices))
    return invalid(
        fmt::format("the answer: expected the number (from 0) or the letter of one of {} "
                    "choices",
                    choices));
  return std::string(1, static_cast<char>('A' + index));
}

std::string options_text(const std::vector<std::string>& choices) {
  std::string out;
  for (size_t i = 0; i < choices.size(); ++i) {
    out += fmt::format("{}{}. {}", i > 0 ? "\n" : "", static_cast<char>('A' + i), choices[i]);
  }
  return out;
}

// Without the list of options, should the answer repeat it: its last line would be read as a choice.
std::string without_options(std::string_view completion, const std::vector<std::string>& choices) {
  std::string out(completion);
  const std::string options = options_text(choices);
  for (size_t at = out.find(options); at != std::string::npos; at = out.find(options, at))
    out.replace(at, options.size(), "\n");
  return out;
}

Status read_choices(const Json& row, std::string_view field, BenchQuestion& q) {
  ASSIGN_OR_RETURN(q.verify.choices, choices_of(row));
  const auto answer = row.find(field);
  if (answer == row.end()) return invalid(fmt::format("the row has no \"{}\"", field));
  ASSIGN_OR_RETURN(q.gold, letter_of(*answer, q.verify.choices.size()));
  q.question += "\n" + options_text(q.verify.choices);
  return {};
}

Status read_gold(const Benchmark& bench, const Json& row, BenchQuestion& q) {
  q.solution = optional_text(row, bench.solution);
  const bool own_choices = bench.kind == GoldKind::kText && bench.file.empty() &&
                           row.contains("choices");  // rows of one's own may have them
  if (bench.kind == GoldKind::kChoice || own_choices) return read_choices(row, bench.answer, q);
  ASSIGN_OR_RETURN(q.gold, required_text(row, bench.answer));
  if (bench.kind == GoldKind::kHashes) {
    const size_t mark = q.gold.rfind("####");
    if (mark == std::string::npos)
      return invalid(fmt::format("\"{}\" has no line \"#### ANSWER\"", bench.answer));
    q.gold = std::string(trimmed(std::string_view(q.gold).substr(mark + 4)));
  } else if (bench.kind == GoldKind::kInteger) {
    ASSIGN_OR_RETURN(q.gold, integer_gold(q.gold));
    constexpr int kNeverRounded = 30;
    q.verify.precision = kNeverRounded;
  }
  return {};
}

// The class of right answers; also says whether the verifier can read the gold at all.
Status find_key(BenchQuestion& q) {
  for (const std::string& answer : {"\\boxed{" + q.gold + "}", q.gold}) {
    const Verdict verdict = verify(q.gold, answer, q.verify);
    if (!verdict.equal) continue;
    q.key = verdict.key;
    return {};
  }
  return invalid(fmt::format("the answer {} cannot be graded by rule", in_quotes(q.gold)));
}

Groups groups_of(std::string_view fields, const Json& row) {
  Groups out;
  while (!fields.empty()) {
    const std::string_view word = fields.substr(0, fields.find(' '));
    fields.remove_prefix(std::min(word.size() + 1, fields.size()));
    const size_t equals = word.find('=');
    const std::string_view label = equals == word.npos ? word : word.substr(equals + 1);
    std::string value = optional_text(row, word.substr(0, equals));
    if (!value.empty()) out.emplace_back(label, std::move(value));
  }
  return out;
}

Result<BenchQuestion> read_row(const Benchmark& bench, const Json& row, size_t line,
                               std::string_view instruction) {
  BenchQuestion q;
  ASSIGN_OR_RETURN(q.question, required_text(row, bench.question));
  const std::string body = optional_text(row, bench.body);
  if (const std::string_view text = trimmed(body); !text.empty()) {
    const bool ends = std::string_view(".?!,").find(text.back()) != std::string_view::npos;
    q.question = std::string(text) + (ends ? " " : ". ") + q.question;
  }
  RETURN_IF_ERROR(read_gold(bench, row, q));
  q.id = optional_text(row, bench.id);
  if (q.id.empty()) q.id = fmt::format("{}", line);
  q.groups = groups_of(bench.groups, row);
  q.prompt = q.question;
  if (!instruction.empty()) q.prompt += "\n" + std::string(instruction);
  RETURN_IF_ERROR(find_key(q));
  q.verify.question = q.question;
  return q;
}

Result<std::vector<BenchQuestion>> read_all(const Benchmark& bench, JsonlReader& reader,
                                            const std::string& name,
                                            const std::optional<std::string>& instruction) {
  std::vector<BenchQuestion> out;
  std::unordered_set<std::string> ids;
  Json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    const std::string place = fmt::format("{}:{}", name, reader.line());
    if (!row.is_object()) return invalid(place + ": expected a JSON object");
    const auto year = bench.year == 0 ? row.end() : row.find("year");
    if (year != row.end() && *year != bench.year) continue;
    Result<BenchQuestion> question =
        read_row(bench, row, reader.line(), instruction ? *instruction : bench.instruction);
    if (!question.ok()) return question.status().with_prefix(place);
    if (!ids.insert(question->id).second)
      return invalid(fmt::format("{}: the id {} is there twice", place, in_quotes(question->id)));
    out.push_back(std::move(question).value());
  }
  if (out.empty()) {
    return invalid(name + ": no problem in it; expected JSON lines" +
                   (bench.year > 0 ? fmt::format(" of the year {}", bench.year) : ""));
  }
  return out;
}

}  // namespace

std::span<const Benchmark> benchmarks() { return kBenchmarks; }

const Benchmark* find_benchmark(std::string_view name) {
  for (const Benchmark& bench : kBenchmarks) {
    if (bench.name == name) return &bench;
  }
  return nullptr;
}

Result<std::vector<BenchQuestion>> load_benchmark(const Benchmark& bench, const std::string& path,
                                                  std::optional<std::string> instruction) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(path));
  return read_all(bench, reader, path, instruction);
}

Result<std::vector<BenchQuestion>> parse_benchmark(const Benchmark& bench, std::string_view text,
                                                   const std::string& name,
                                                   std::optional<std::string> instruction) {
  JsonlReader reader(text, name);
  return read_all(bench, reader, name, instruction);
}

Grade grade_benchmark(const BenchQuestion& question, std::string_view completion, bool thinking) {
  VerifyOptions options = question.verify;
  options.need_thinking_end = thinking;
  const bool choices = !options.choices.empty();
  const Verdict verdict =
      choices ? verify(question.gold, without_options(completion, options.choices), options)
              : verify(question.gold, completion, options);
  constexpr std::string_view kEnd = "</think>";
  const size_t end = completion.rfind(kEnd);
  const bool said = end != completion.npos || !thinking;
  const std::string_view said_text =
      end == completion.npos ? completion : completion.substr(end + kEnd.size());
  Grade grade;
  grade.accuracy = verdict.equal ? 1 : 0;
  grade.format = said && said_text.find("\\boxed") != std::string_view::npos ? 1 : 0;
  grade.reason = verdict.reason;
  // A wrong answer never votes with the right ones: what is not counted (a formula copied from the
  // question) may have the gold's value.
  grade.has_key = !verdict.key.empty() && (verdict.equal || verdict.key != question.key);
  if (grade.has_key) grade.key = verdict.equal ? question.key : verdict.key;
  return grade;
}

std::vector<Published> published_scores(std::string_view bench) {
  std::vector<Published> out;
  for (const Published& p : kPublished) {
    if (p.bench == bench) out.push_back(p);
  }
  return out;
}

}  // namespace ponder
