// ponder run MODEL [PROMPT]: a chat on a terminal, one answer otherwise.
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cmd/chat.h"
#include "cmd/repl.h"
#include "cmd/stored_chat.h"
#include "cmd/verb.h"

namespace ponder {
namespace {

constexpr const char* kFirstQuestion =
    "Tom has 23 apples. He gives 5 to Lucy and then buys 4 bags with 6 apples each. How many "
    "apples "
    "does he have now?";

struct Options {
  std::string model, model_flag, system;
  std::vector<std::string> words;
  bool seed_given = false, json = false, think = false, no_think = false, hide_thinking = false;
  bool no_wrap = false, verbose = false;
  int64_t thinking_budget = -1;
  SamplingParams sampling = ChatSettings().sampling;
  int64_t context = 0;
  int threads = 0;
};

// One question answered as one JSON object.
Status answer_json(Chat& chat, const std::string& question) {
  catch_interrupts();
  ASSIGN_OR_RETURN(const Reply reply, chat.ask(
                                          question, [](const ReasoningText&) {}, interrupted));
  const nlohmann::ordered_json out = {{"reasoning", reply.thinking},
                                      {"content", reply.content},
                                      {"finish_reason", reply.finish_reason},
                                      {"usage",
                                       {{"prompt_tokens", reply.prompt_tokens},
                                        {"completion_tokens", reply.completion_tokens},
                                        {"reasoning_tokens", reply.thinking_tokens}}},
                                      {"seed", reply.seed}};
  fmt::print("{}\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  return {};
}

// What is piped in. With a prompt on the command line a pipe that stays silent is not waited for: many programs hand one down
// and never write to it.
std::string piped_text(bool have_prompt) {
  if (input_is_terminal()) return {};
  struct stat info {};
  if (have_prompt && ::fstat(STDIN_FILENO, &info) == 0 && !S_ISREG(info.st_mode)) {
    constexpr int kGraceMilliseconds = 100;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kGraceMilliseconds) <= 0) return {};
  }
  std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

Status answer(Chat& chat, const std::string& question, const Options& o, const ReplOptions& shown) {
  return o.json ? answer_json(chat, question) : ask_and_show(chat, question, shown);
}

// Without a terminal: the words of the command line and what is piped in are one prompt; a model of problems takes one a line.
Status answer_once(Chat& chat, std::string prompt, bool shipped, const Options& o,
                   const ReplOptions& shown) {
  const std::string piped = piped_text(!prompt.empty());
  if (prompt.empty() && piped.empty()) {
    if (!shipped) return invalid("no question; expected one as an argument or on standard input");
    if (!o.json) fmt::print("Question: {}\n", kFirstQuestion);
    return answer(chat, kFirstQuestion, o, shown);
  }
  if (prompt.empty() && chat.symbols()) {
    std::istringstream lines(piped);
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) RETURN_IF_ERROR(answer(chat, line, o, shown));
    }
    return {};
  }
  if (!piped.empty() && !chat.symbols()) prompt += (prompt.empty() ? "" : "\n\n") + piped;
  return answer(chat, prompt, o, shown);
}

Status greet_with_example(Chat& chat, const ReplOptions& shown) {
  fmt::print(
      "A model of {:.1f} million parameters, trained from nothing by this program. It thinks aloud "
      "about small\n"
      "problems in English and Chinese.\n"
      "一个从零训练的小型推理模型，可以用中文或英文提问。\n\n>>> {}\n",
      static_cast<double>(chat.model().parameter_count()) / 1e6, kFirstQuestion);
  RETURN_IF_ERROR(ask_and_show(chat, kFirstQuestion, shown));
  fmt::print(
      "\nYour turn: arithmetic with whole numbers, short stories, comparisons, equations, puzzles, "
      "such as\n"
      "  94 - 3(x + 14) = 22，x等于多少？\n"
      "  Lucy is older than Tom. Ben is older than Lucy. Who is oldest?\n"
      "/set nothink lets it answer at once, /set budget 20 shortens its thinking; /? for help.\n");
  return {};
}

Status run(Options o) {
  if (!o.model_flag.empty()) {
    if (!o.model.empty()) o.words.insert(o.words.begin(), o.model);
    o.model = o.model_flag;
  }
  const bool shipped = o.model.empty();
  if (shipped) o.model = shipped_model();
  std::string prompt;
  for (const std::string& w : o.words) prompt += (prompt.empty() ? "" : " ") + w;
  ChatSettings settings;
  settings.sampling = o.sampling;
  settings.system = o.system;
  ASSIGN_OR_RETURN(const StoredChat stored, StoredChat::of(o.model));
  if (!o.seed_given) {
    settings.sampling.seed = stored.seed().value_or(static_cast<uint64_t>(std::time(nullptr)));
  }
  RETURN_IF_ERROR(stored.apply(settings, o.context).with_prefix(o.model));
  ASSIGN_OR_RETURN(auto chat, Chat::open(o.model, o.context, o.threads));
  chat->settings = settings;
  chat->messages = stored.messages;
  if (o.think || o.no_think) chat->settings.think = !o.no_think;
  chat->settings.thinking_budget = o.thinking_budget;
  if (o.thinking_budget >= 0 && !chat->can_limit_thinking()) {
    return invalid(o.model +
                   ": --thinking-budget cannot be kept, no token of this model ends its thinking");
  }
  RETURN_IF_ERROR(settings.sampling.validate(chat->model().config().vocab_size));
  ReplOptions shown;
  shown.context = o.context;
  shown.threads = o.threads;
  shown.show_thinking = !o.hide_thinking;
  shown.wrap = !o.no_wrap;
  shown.verbose = o.verbose;
  if (!prompt.empty() || !input_is_terminal() || !output_is_terminal()) {
    return answer_once(*chat, prompt, shipped, o, shown);
  }
  if (shipped) RETURN_IF_ERROR(greet_with_example(*chat, shown));
  return converse(std::move(chat), shown);
}

}  // namespace

Verb add_run(CLI::App& app) {
  auto o = std::make_shared<Options>();
  SamplingParams& s = o->sampling;
  app.add_option("model", o->model,
                 "name, GGUF file or Hugging Face folder; none: the shipped model");
  app.add_option("prompt", o->words, "the question; none: a chat, or what is piped in");
  app.add_option("--model", o->model_flag, "the same as the first argument");
  CLI::Option* seed = app.add_option("--seed", s.seed, "the same seed gives the same answer");
  app.add_option("--temperature", s.temperature, "0 is greedy (default 0.6)")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", s.top_p, "(default 0.95)")->check(CLI::Range(0.0, 1.0));
  app.add_option("--top-k", s.top_k, "0: off")->check(CLI::Range(0, 1 << 30));
  app.add_option("--min-p", s.min_p, "0: off")->check(CLI::Range(0.0, 1.0));
  app.add_option("--max-tokens", s.max_new_tokens, "(default: to the end of the context)")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--ctx", o->context, "context in tokens (default: the model's, at most 32768)")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--system", o->system, "a system prompt (R1 works best without one)");
  app.add_option("--threads", o->threads, "0: all cores")->check(CLI::Range(0, 1024));
  CLI::Option* think = app.add_flag("--think", o->think,
                                    "begin with thinking (default: what the chat template does)");
  app.add_flag("--no-think", o->no_think, "answer at once")->excludes(think);
  app.add_option("--thinking-budget", o->thinking_budget,
                 "most tokens of thinking; 0: none of its own")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  app.add_flag("--hidethinking", o->hide_thinking, "think, but show the answer alone");
  app.add_flag("--nowordwrap", o->no_wrap, "do not wrap at the right edge of the terminal");
  app.add_flag("--verbose", o->verbose, "rates after each answer");
  app.add_flag("--json", o->json, "print one JSON object");
  app.footer(
      "Examples: ponder run models/reasoner.gguf 'What is 12+3*(4-1)?' --seed 1\n"
      "          ponder run DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf\n"
      "          cat notes.txt | ponder run MODEL 'Summarize this:'");
  return [o, seed] {
    o->seed_given = seed->count() > 0;
    return run(*o);
  };
}

}  // namespace ponder
