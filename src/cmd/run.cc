// ponder run MODEL [PROMPT]: a chat on a terminal, one answer otherwise.
#include <fmt/format.h>
#include <histedit.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "eval/evaluate.h"

namespace ponder {
namespace {

volatile std::sig_atomic_t interrupted = 0;

struct Options {
  std::string model, model_flag;
  std::vector<std::string> rest;
  uint64_t seed = 0;
  bool seed_given = false, json = false, think = true, no_think = false;
  double temperature = 0.6, top_p = 0.95;
  int64_t top_k = 0, context = 0;
  int32_t max_tokens = 512;
  int threads = 0;
};

constexpr const char* kDim = "\x1b[2m";
constexpr const char* kPlain = "\x1b[0m";

// Ids of the marks that a reasoning model sets; -1 where the vocabulary has none.
struct Marks {
  int32_t think, end_think, answer, end_answer, user, assistant;
  explicit Marks(const Tokenizer& t)
      : think(t.id_of("<think>")),
        end_think(t.id_of("</think>")),
        answer(t.id_of("<answer>")),
        end_answer(t.id_of("</answer>")),
        user(t.id_of("<user>")),
        assistant(t.id_of("<assistant>")) {}
};

// Splits an answer into thinking and content by tokens, never by searching text.
class AnswerReader {
 public:
  AnswerReader(const Tokenizer& tokenizer, const Marks& marks, bool show, bool dim)
      : marks_(marks), decoder_(tokenizer), show_(show), dim_(dim) {}

  void push(int32_t id) {
    if (id == marks_.think || id == marks_.end_think || id == marks_.answer ||
        id == marks_.end_answer) {
      put(decoder_.finish());
      if (id == marks_.think) enter(true);
      if (id == marks_.end_think) enter(false);
      return;
    }
    if (thinking_) ++reasoning_tokens_;
    put(decoder_.push(id));
  }
  void finish() {
    put(decoder_.finish());
    enter(false);
    if (show_) fmt::print("\n");
  }

  const std::string& reasoning() const { return reasoning_; }
  const std::string& content() const { return content_; }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  void enter(bool thinking) {
    if (thinking == thinking_) return;
    thinking_ = thinking;
    if (!show_) return;
    if (thinking) {
      fmt::print("{}{}", dim_ ? kDim : "", "Thinking: ");
    } else {
      fmt::print("{}\n", dim_ ? kPlain : "");
    }
  }
  void put(const std::string& text) {
    (thinking_ ? reasoning_ : content_) += text;
    if (!show_ || text.empty()) return;
    fmt::print("{}", text);
    std::fflush(stdout);
  }

  const Marks marks_;
  StreamDecoder decoder_;
  const bool show_, dim_;
  bool thinking_ = false;
  std::string reasoning_, content_;
  int64_t reasoning_tokens_ = 0;
};

class Chat {
 public:
  static Result<std::unique_ptr<Chat>> open(const std::string& path, const Options& o) {
    ASSIGN_OR_RETURN(LoadedModel loaded, load_model(path));
    auto chat = std::unique_ptr<Chat>(new Chat(std::move(loaded), o));
    chat->context_ = chat->model_.config().max_position_embeddings;
    if (o.context > 0) chat->context_ = std::min(chat->context_, o.context);
    EngineOptions options;
    options.max_batch = 1;
    options.pages = chat->context_ / KvCache::kPageKeys + 2;
    ASSIGN_OR_RETURN(chat->engine_, Engine::create(chat->model_, chat->pool_, options));
    return chat;
  }

  // One question; the answer is streamed to standard output, or printed as one JSON object.
  Status ask(const std::string& question) {
    const bool symbols = marks_.user >= 0 && marks_.assistant >= 0;
    std::string text = symbols ? task_prompt(question) : question;
    if (symbols && !options_.think) text += "<think></think>";
    Request request;
    request.prompt = tokenizer_.encode(text, {.add_special = !symbols});
    if (symbols && tokenizer_.decode(request.prompt) != text) {
      return invalid(fmt::format(
          "the model has no symbols for some of \"{}\"; it reads problems such as 37+8*3-5*7=?",
          question));
    }
    const int64_t prompt_tokens = static_cast<int64_t>(request.prompt.size());
    if (prompt_tokens >= context_) {
      return invalid(
          fmt::format("the prompt of {} tokens leaves no room for an answer in a context of {}",
                      prompt_tokens, context_));
    }
    SamplingParams& p = request.sampling;
    p.temperature = options_.temperature;
    p.top_p = options_.top_p;
    p.top_k = static_cast<int32_t>(options_.top_k);
    p.max_new_tokens =
        static_cast<int32_t>(std::min<int64_t>(options_.max_tokens, context_ - prompt_tokens));
    p.seed = options_.seed + asked_++;
    if (tokenizer_.eos_id() >= 0) p.stop_ids = {tokenizer_.eos_id()};
    const uint64_t seed = p.seed;
    request.stream = true;
    ASSIGN_OR_RETURN(const RequestId id, engine_->submit(std::move(request)));
    AnswerReader reader(tokenizer_, marks_, !options_.json, output_is_terminal());
    interrupted = 0;
    while (!engine_->finished(id)) {
      RETURN_IF_ERROR(engine_->step());
      for (const Event& e : engine_->take_events()) {
        if (e.token >= 0 && e.reason != FinishReason::kStop) reader.push(e.token);
      }
      if (interrupted) engine_->cancel(id);
    }
    ASSIGN_OR_RETURN(const Output output, engine_->take(id));
    const Answer& answer = output.answers.front();
    if (answer.reason == FinishReason::kError) return invalid(answer.error);
    reader.finish();
    if (!options_.json) return {};
    const nlohmann::json out = {{"reasoning", reader.reasoning()},
                                {"content", reader.content()},
                                {"finish_reason", finish_reason_name(answer.reason)},
                                {"usage",
                                 {{"prompt_tokens", prompt_tokens},
                                  {"completion_tokens", answer.tokens.size()},
                                  {"reasoning_tokens", reader.reasoning_tokens()}}},
                                {"seed", seed}};
    fmt::print("{}\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return {};
  }

  int64_t parameters() const { return model_.parameter_count(); }

 private:
  Chat(LoadedModel loaded, const Options& o)
      : options_(o),
        model_(std::move(loaded.model)),
        tokenizer_(std::move(loaded.tokenizer)),
        marks_(tokenizer_),
        pool_(o.threads) {}

  Options options_;
  Model model_;
  Tokenizer tokenizer_;
  Marks marks_;
  ThreadPool pool_;
  std::unique_ptr<Engine> engine_;
  int64_t context_ = 0;  // tokens of prompt and answer together
  uint64_t asked_ = 0;
};

const char* prompt_text(EditLine*) { return ">>> "; }

// Reads questions with line editing and history until end of input or /bye.
Status converse(Chat& chat) {
  EditLine* editor = el_init("ponder", stdin, stdout, stderr);
  History* past = history_init();
  if (editor == nullptr || past == nullptr)
    return io_error("cannot set up line editing on this terminal");
  HistEvent event;
  history(past, &event, H_SETSIZE, 500);
  el_set(editor, EL_PROMPT, prompt_text);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_HIST, ::history, past);
  el_set(editor, EL_SIGNAL, 1);
  int length = 0;
  while (const char* line = el_gets(editor, &length)) {
    std::string question(line, static_cast<size_t>(length));
    while (!question.empty() && (question.back() == '\n' || question.back() == ' '))
      question.pop_back();
    if (question.empty()) continue;
    history(past, &event, H_ENTER, line);
    if (question == "/bye" || question == "/exit") break;
    if (question == "/?" || question == "/help") {
      fmt::print("Type a question. Ctrl-C stops an answer, /bye or Ctrl-D ends.\n");
      continue;
    }
    std::signal(SIGINT, [](int) { interrupted = 1; });
    if (const Status status = chat.ask(question); !status.ok())
      fmt::print("{}\n", status.message());
    std::signal(SIGINT, SIG_DFL);
  }
  fmt::print("\n");
  history_end(past);
  el_end(editor);
  return {};
}

constexpr const char* kFirstQuestion = "37+8*3-5*7=?";

Status run(Options o) {
  std::vector<std::string> words = o.rest;
  if (!o.model_flag.empty()) {
    if (!o.model.empty()) words.insert(words.begin(), o.model);
    o.model = o.model_flag;
  }
  const bool shipped = o.model.empty();
  if (shipped) o.model = shipped_model();
  if (!o.seed_given) o.seed = static_cast<uint64_t>(std::time(nullptr));
  if (o.no_think) o.think = false;
  std::string question;
  for (const std::string& w : words) question += (question.empty() ? "" : " ") + w;
  ASSIGN_OR_RETURN(const auto chat, Chat::open(o.model, o));
  if (!question.empty()) return chat->ask(question);
  if (!input_is_terminal() || !output_is_terminal()) {
    std::string line;
    bool any = false;
    while (!shipped && std::getline(std::cin, line)) {
      if (line.empty()) continue;
      RETURN_IF_ERROR(chat->ask(line));
      any = true;
    }
    if (any) return {};
    if (!shipped) return invalid("no question; expected one as an argument or on standard input");
    if (!o.json) fmt::print("Question: {}\n", kFirstQuestion);
    return chat->ask(kFirstQuestion);
  }
  if (shipped) {
    fmt::print(
        "A model of {:.1f} million parameters that taught itself to think before it answers, by "
        "reinforcement\n"
        "learning alone. It knows one thing: sums evaluated from left to right, modulo 97.\n\n>>> "
        "{}\n",
        static_cast<double>(chat->parameters()) / 1e6, kFirstQuestion);
    RETURN_IF_ERROR(chat->ask(kFirstQuestion));
    fmt::print(
        "\nYour turn: 3 to 6 operations + - * with numbers from 2 to 9, such as 5*7-9+4=?  (/? for "
        "help)\n");
  }
  return converse(*chat);
}

}  // namespace

Verb add_run(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option(
      "model", o->model,
      "folder with config.json, model.safetensors, tokenizer.json; none: the shipped model");
  app.add_option("prompt", o->rest, "the question; none: a chat, or the lines of standard input");
  app.add_option("--model", o->model_flag, "the same as the first argument");
  CLI::Option* seed = app.add_option("--seed", o->seed, "the same seed gives the same answer");
  app.add_option("--temperature", o->temperature, "0 is greedy (default 0.6)")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", o->top_p, "(default 0.95)")->check(CLI::Range(0.0, 1.0));
  app.add_option("--top-k", o->top_k, "0: off")->check(CLI::Range(0, 1 << 30));
  app.add_option("--max-tokens", o->max_tokens)->check(CLI::Range(1, 1 << 20));
  app.add_option("--ctx", o->context, "context in tokens (default: the model's)")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--threads", o->threads, "0: all cores")->check(CLI::Range(0, 1024));
  app.add_flag("--think", o->think, "let it think (the default)");
  app.add_flag("--no-think", o->no_think, "answer at once");
  app.add_flag("--json", o->json, "print one JSON object");
  app.footer("Example: ponder run models/zero.gguf '5*7-9+4=?' --seed 1");
  return [o, seed] {
    o->seed_given = seed->count() > 0;
    return run(*o);
  };
}

}  // namespace ponder
