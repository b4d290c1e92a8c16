#include "train/corpus.h"

#include <algorithm>

#include "train/recipe_check.h"

namespace ponder {
namespace {

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_special = false});
}

// A drill ("37+8=" -> "45;") stands by itself, without the marks of a dialogue.
Document drill(const Tokenizer& tokenizer, const Example& example, Mask mask) {
  const std::string bos = tokenizer.id_of("<bos>") >= 0 ? "<bos>" : "";
  return joined(encode(tokenizer, bos + example.prompt), encode(tokenizer, example.completion),
                mask);
}

}  // namespace

Mask mask_from(std::string_view name) {
  return name == "none"            ? Mask::kNone
         : name == "all_assistant" ? Mask::kAllAssistant
                                   : Mask::kCompletion;
}

Document joined(std::vector<int32_t> prompt, std::span<const int32_t> rest, Mask mask) {
  Document out;
  const auto size = static_cast<int64_t>(prompt.size());
  out.ids = std::move(prompt);
  out.ids.insert(out.ids.end(), rest.begin(), rest.end());
  const auto end = static_cast<int64_t>(out.ids.size());
  const TokenSpan span{mask == Mask::kNone ? 1 : std::max<int64_t>(1, size), end};
  if (span.begin < span.end) out.scored = {span};
  return out;
}

Result<int32_t> end_of_turn(const ChatFormat& format) {
  const std::vector<int32_t> stops = format.stop_ids({});
  if (stops.empty()) {
    return invalid(
        "no token of the vocabulary ends an answer; expected an eos_token in "
        "tokenizer_config.json");
  }
  const ChatMessage probe[] = {{"user", "1"}, {"assistant", "0"}};
  const Result<std::string> text = format.transcript(probe);
  if (!format.has_template() || !text.ok()) return stops.front();
  const size_t answer = text->rfind('0');
  if (answer == std::string::npos) return stops.front();
  for (const int32_t id : encode(format.tokenizer(), std::string_view(*text).substr(answer + 1))) {
    if (std::find(stops.begin(), stops.end(), id) != stops.end()) return id;
  }
  return stops.front();
}

Result<Document> solved(const ChatFormat& format, int32_t end, const std::string& question,
                        std::string_view answer, Mask mask) {
  constexpr std::string_view kThink = "<think>";
  ASSIGN_OR_RETURN(ChatPrompt prompt, format.question(question));
  if (prompt.thinking && answer.starts_with(kThink)) {
    answer.remove_prefix(kThink.size());
    if (answer.starts_with("\n")) answer.remove_prefix(1);
  }
  std::vector<int32_t> rest = encode(format.tokenizer(), answer);
  rest.push_back(end);
  return joined(std::move(prompt.ids), rest, mask);
}

namespace {

// A question with what was said before it, its thinking switched as the example says.
Result<Document> asked(const ChatFormat& format, const Result<int32_t>& end, const Example& example,
                       Mask mask) {
  RETURN_IF_ERROR(end.status());
  std::vector<ChatMessage> messages;
  for (const auto& [question, answer] : example.earlier) {
    messages.push_back({"user", question});
    messages.push_back({"assistant", answer});
  }
  messages.push_back({"user", example.prompt});
  ASSIGN_OR_RETURN(ChatPrompt prompt, format.prompt(messages, example.think));
  std::vector<int32_t> rest = encode(format.tokenizer(), example.completion);
  rest.push_back(*end);
  return joined(std::move(prompt.ids), rest, mask);
}

}  // namespace

Split split_from(std::string_view name) {
  return name == "train" ? Split::kTrain : name == "dev" ? Split::kDev : Split::kTest;
}

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
  p.chain.two_lexicons = task.lexicons == "two";
  const double solved_share = 1 - corpus.drills;
  p.chain_mixture.drill = corpus.drills;
  p.chain_mixture.direct = solved_share * corpus.direct;
  p.chain_mixture.skip2 = solved_share * corpus.skip2;
  p.chain_mixture.full = solved_share * corpus.full;
  p.chain_mixture.check = solved_share * corpus.check;
  p.chain_mixture.error_share = corpus.check_errors;
  p.chain_mixture.messy_share = corpus.messy;
  p.chain_mixture.mixed_share = corpus.mixed;
  p.countdown.min_numbers = p.countdown.max_numbers = static_cast<int>(task.numbers);
  p.countdown.max_number = static_cast<int>(task.max_number);
  p.countdown.max_target = static_cast<int>(task.target_max);
  p.countdown_mixture.direct_share = corpus.direct;
  p.countdown_mixture.max_dead_ends = static_cast<int>(corpus.search_lines);
  p.reasoner = reasoner_params(task, Stage());
  p.reasoner_mixture = {corpus.drills, corpus.direct, corpus.check, corpus.earlier};
  return p;
}

Result<std::vector<std::string>> tokenizer_texts(const Recipe& recipe) {
  const Task& task = task_of(recipe);
  const TaskParams params = task_params(recipe.task, recipe.corpus);
  const uint64_t seed = static_cast<uint64_t>(recipe.seed) ^ hash64("tokenizer");
  std::vector<std::string> out;
  for (int64_t i = 0; i < recipe.tokenizer.train_documents; ++i) {
    ASSIGN_OR_RETURN(const Example e, task.make_example(params, seed, static_cast<uint64_t>(i)));
    out.push_back(e.prompt + "\n" + e.completion);
  }
  return out;
}

GeneratedCorpus::GeneratedCorpus(const Recipe& recipe, const Stage& stage, const ChatFormat& format,
                                 uint64_t seed)
    : task_(task_of(recipe)),
      format_(format),
      end_of_turn_(end_of_turn(format)),
      mixed_(task_params(recipe.task, recipe.corpus)),
      drills_(mixed_),
      drill_phase_(recipe.corpus.drill_phase),
      mask_(mask_from(stage.mask)),
      seed_(seed) {
  drills_.chain_mixture = {.drill = 1, .direct = 0, .skip2 = 0, .full = 0, .check = 0};
  drills_.reasoner_mixture.drill = 1;
}

Result<Document> GeneratedCorpus::document(uint64_t index, double progress) const {
  const TaskParams& params = progress < drill_phase_ ? drills_ : mixed_;
  ASSIGN_OR_RETURN(const Example example, task_.make_example(params, seed_, index));
  if (example.think) return asked(format_, end_of_turn_, example, mask_);
  const bool is_drill = !example.completion.starts_with("<");
  if (is_drill) return drill(format_.tokenizer(), example, mask_);
  ASSIGN_OR_RETURN(const int32_t end, end_of_turn_);
  return solved(format_, end, example.prompt, example.completion, mask_);
}

}  // namespace ponder
