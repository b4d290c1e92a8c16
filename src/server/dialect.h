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

namespace ponder {

class Service;
struct Dialect;

// A request that was let in, with its route.
struct Call {
  Service& service;
  std::shared_ptr<Exchange> exchange;
  const Dialect& dialect;
  Principal who;
  std::string rest;  // what the route's star stands for

  const WebRequest& request() const { return exchange->request(); }
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
};

// All dialects; the first one's errors serve where no other is meant.
std::span<const Dialect* const> dialects();

extern const Dialect kOpenAi, kOpenAiResponses, kDeepSeek, kSystem, kOllama;
extern const Dialect kAnthropic, kLlamaServer;

// Writes one reply. Called in this order on one sequence: begin(), then either stream_begin(), delta()
// ..., stream_end() or stream_error(); or whole(). error() may come in place of any of whole() and
// stream_begin(), also before begin().
class ReplyFormat {
 public:
  virtual ~ReplyFormat() = default;
  virtual void begin(const ReplyHead& head) { head_ = head; }
  virtual StreamStart stream_start() const { return {}; }
  virtual std::string stream_begin() { return {}; }
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
