#include "train/corpus.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "io/jsonl.h"

namespace ponder {
namespace {

std::vector<int32_t> encode(const Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.encode(text, {.add_special = false});
}

Document joined(const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                const std::string& completion, bool mask_prompt) {
  Document out;
  out.ids = std::move(prompt);
  const size_t prompt_size = out.ids.size();
  const std::vector<int32_t> rest = encode(tokenizer, completion);
  out.ids.insert(out.ids.end(), rest.begin(), rest.end());
  out.scored_from = mask_prompt ? static_cast<int64_t>(prompt_size) : 1;
  return out;
}

// A question and its answer, with the end of the turn.
Result<Document> solved(const ChatFormat& format, const std::string& question,
                        const std::string& answer, bool mask_prompt) {
  ASSIGN_OR_RETURN(ChatPrompt prompt, format.question(question));
  Document out = joined(format.tokenizer(), std::move(prompt.ids), answer, mask_prompt);
  out.ids.push_back(format.tokenizer().eos_id());
  return out;
}

// A drill ("37+8=" -> "45;") stands by itself, without the marks of a dialogue.
Document drill(const Tokenizer& tokenizer, const Example& example, bool mask_prompt) {
  return joined(tokenizer, encode(tokenizer, "<bos>" + example.prompt), example.completion,
                mask_prompt);
}

}  // namespace

const Task& task_of(const Recipe& recipe) {
  const Task* task = find_task(recipe.task.name);
  PONDER_CHECK(task != nullptr, recipe.task.name);
  return *task;
}

TaskParams task_params(const TaskSpec& task, const CorpusSpec& corpus) {
  TaskParams p;
  p.chain.modulo = static_cast<int>(task.modulo);
  p.chain.min_ops = static_cast<int>(task.ops_min);
  p.chain.max_ops = static_cast<int>(task.ops_max);
  const double solved_share = 1 - corpus.drills;
  p.chain_mixture.drill = corpus.drills;
  p.chain_mixture.direct = solved_share * corpus.direct;
  p.chain_mixture.skip2 = solved_share * corpus.skip2;
  p.chain_mixture.full = solved_share * corpus.full;
  p.chain_mixture.check = solved_share * corpus.check;
  p.chain_mixture.error_share = corpus.check_errors;
  p.chain_mixture.messy_share = corpus.messy;
  p.countdown.min_numbers = p.countdown.max_numbers = static_cast<int>(task.numbers);
  p.countdown.max_number = static_cast<int>(task.max_number);
  p.countdown.max_target = static_cast<int>(task.target_max);
  p.countdown_mixture.direct_share = corpus.direct;
  p.countdown_mixture.max_dead_ends = static_cast<int>(corpus.search_lines);
  return p;
}

GeneratedCorpus::GeneratedCorpus(const Recipe& recipe, const Stage& stage, const ChatFormat& format,
                                 uint64_t seed)
    : task_(task_of(recipe)),
      format_(format),
      mixed_(task_params(recipe.task, recipe.corpus)),
      drills_(mixed_),
      drill_phase_(recipe.corpus.drill_phase),
      mask_prompt_(stage.mask_prompt),
      seed_(seed) {
  drills_.chain_mixture = {.drill = 1, .direct = 0, .skip2 = 0, .full = 0, .check = 0};
}

Result<Document> GeneratedCorpus::document(uint64_t index, double progress) const {
  const TaskParams& params = progress < drill_phase_ ? drills_ : mixed_;
  ASSIGN_OR_RETURN(const Example example, task_.make_example(params, seed_, index));
  const bool is_drill = !example.completion.starts_with("<");
  if (is_drill) return drill(format_.tokenizer(), example, mask_prompt_);
  return solved(format_, example.prompt, example.completion, mask_prompt_);
}

Result<std::vector<Document>> read_documents(const std::string& path, const ChatFormat& format,
                                             bool mask_prompt, int64_t max_tokens) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(path));
  const auto text_of = [](const nlohmann::json& row, const char* key) {
    const auto found = row.is_object() ? row.find(key) : row.end();
    return found != row.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  std::vector<Document> out;
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    const std::string prompt = text_of(row, "prompt"), text = text_of(row, "text");
    std::string answer = text_of(row, "completion");
    if (answer.empty()) answer = text_of(row, "answer");
    const std::string where = fmt::format("{}:{}", path, reader.line());
    if (text.empty() && (prompt.empty() || answer.empty())) {
      return invalid(where + R"(: expected strings "prompt" and "completion", or "text")");
    }
    if (text.empty()) {
      ASSIGN_OR_RETURN(Document document, solved(format, prompt, answer, mask_prompt));
      out.push_back(std::move(document));
    } else {
      out.push_back(joined(format.tokenizer(), {}, text, false));
    }
    const auto size = static_cast<int64_t>(out.back().ids.size());
    if (size < 2) return invalid(where + ": the text has fewer than two tokens");
    if (out.back().scored_from >= size) return invalid(where + ": the completion has no tokens");
    if (size > max_tokens) {
      return exhausted(fmt::format("{}: {} tokens, more than the model's context of {}", where,
                                   size, max_tokens));
    }
  }
  if (out.empty()) return invalid(path + ": has no rows");
  return out;
}

}  // namespace ponder
