// How a dialect joins the server.
//
// A dialect is one file NAME.cc that defines `const Dialect kName` (declared below) and a row in
// kDialects (dialect.cc). It brings
//   - routes: method, path, scope and a handler. A path that ends with "/*" matches everything below
//     it, and Call::rest has what the star stands for;
//   - error(): its shape of an error, used also for 401, 404, 413, 429 and 503 on its paths;
//   - for answers of models: a reader of its JSON, which fills a GenerateRequest by a Fields (fields.h;
//     what is read is known, the rest becomes a warning), and a ReplyFormat that writes the answer.
//     The handler ends with generate(call, request, format), and the rest happens by itself: finding
//     or loading the model, the template, queueing, thinking split from content, stop strings, usage,
//     back-pressure, cancelling when the client goes.
//   - for everything else: call.exchange->respond(...), at once or later (Exchange::post()), or
//     begin_stream(), write(), end() for progress reports.
// A handler runs on the exchange's sequence and must be quick: what waits for a disk or a network goes
// to a thread of its own that posts back. Shared pieces of OpenAI-like shapes are in openai_fields.h.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/auth.h"
#include "server/generate.h"
#include "server/http.h"
#include "server/journal.h"

namespace ponder {

class Service;
struct Dialect;

// A stream that is written again, for a client that has its first events.
struct Resumption {
  JournalEntry entry;
  WebRequest request;  // as it came
  int64_t after = 0;   // the last event that the client has
};

// A request that was let in, with its route.
struct Call {
  Service& service;
  std::shared_ptr<Exchange> exchange;
  const Dialect& dialect;
  Principal who;
  std::string rest;  // what the route's star stands for
  std::shared_ptr<const Resumption> resumption = nullptr;

  const WebRequest& request() const {
    return resumption ? resumption->request : exchange->request();
  }
  void fail(const ApiError& error) const;
};

struct Route {
  const char* method;
  const char* path;
  Scope scope;
  void (*handle)(Call call);
};

struct Dialect {
  const char* name;
  // Paths that begin so and have no route get this dialect's 404.
  std::span<const char* const> prefixes;
  std::span<const Route> routes;
  WebReply (*error)(const ApiError& error);
  ApiError (*no_model)(const std::string& name) = no_such_model;
  // The header in which its clients look for the number of a request, beside X-Request-Id.
  const char* request_id_header = nullptr;
};

// All dialects; the first one's errors serve where no other is meant.
std::span<const Dialect* const> dialects();

extern const Dialect kOpenAi, kOpenAiResponses, kDeepSeek, kSystem, kOllama;
extern const Dialect kAnthropic, kLlamaServer;

// Writes one reply. Called in this order on one sequence: begin(), then either stream_begin(), delta()
// ..., stream_end() or stream_error(); or whole().
class ReplyFormat {
 public:
  virtual ~ReplyFormat() = default;
  virtual void begin(const ReplyHead& head) { head_ = head; }
  virtual StreamStart stream_start() const { return {}; }
  virtual std::string stream_begin() { return {}; }
  // The prompt is read: how many tokens it has and how many of them were known. Once, before the first
  // delta; with several prompts, of the first that is read.
  virtual std::string prompt_read(const Usage& /*prompt*/) { return {}; }
  virtual std::string delta(const AnswerDelta& delta) = 0;
  virtual std::string stream_end(const Usage& usage) = 0;
  virtual std::string stream_error(const ApiError& error) = 0;
  // One item per answer, its whole text in it.
  virtual WebReply whole(const std::vector<AnswerDelta>& answers, const Usage& usage) = 0;

 protected:
  ReplyHead head_;
};

// Answers the call with a model.
void generate(Call call, GenerateRequest request, std::unique_ptr<ReplyFormat> format);

}  // namespace ponder
