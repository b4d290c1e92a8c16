#include "server/durable.h"

#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/service.h"

namespace ponder {
namespace {

// "chatcmpl-0123...": what clients see as the id of an answer, without the dialect's own word.
std::string answer_id(std::string_view text) {
  return std::string(text.substr(std::min(text.find_last_of("-_") + 1, text.size())));
}

ApiError no_such_stream() {
  return no_such_route(
      "there is no such stream: it was not asked for with X-Ponder-Resumable, or its time is over");
}

void write_again(const Call& call, JournalEntry entry, int64_t after) {
  auto resumption = std::make_shared<Resumption>();
  resumption->request.method = "POST";
  resumption->request.path = entry.path;
  resumption->request.body = entry.body;
  resumption->request.id = entry.request_id;
  resumption->request.peer = call.request().peer;
  resumption->entry = std::move(entry);
  resumption->after = after;
  Call again = call;
  again.resumption = std::move(resumption);
  if (!call.service.dispatch(std::move(again))) call.fail(no_such_stream());
}

}  // namespace

void show_receipt(const Call& call) {
  call.service.receipts().find(
      answer_id(call.rest), call.who.account, [call](Result<std::string> found) {
        call.exchange->post([call, found = std::move(found)] {
          if (!found.ok()) return call.fail(no_such_route(found.status().message()));
          call.exchange->respond({200, "application/json", found.value(), {}});
        });
      });
}

void resume_stream(Call call) {
  const std::string id = answer_id(call.rest);
  if (call.request().method == "HEAD") {  // must not take the stream from its reader
    return call.exchange->respond({200, "text/event-stream", {}, {}});
  }
  std::string last(call.request().header("last-event-id"));
  if (last.empty()) last = call.request().parameter("last_event_id");
  std::string answer;
  int64_t after = 0;
  if (!last.empty() && (!parse_event_id(last, answer, after) || answer != id)) {
    return call.fail(
        bad_field("Last-Event-ID", "`Last-Event-ID` must be the id of an event of this stream"));
  }
  call.exchange->more_headers.emplace_back("X-Ponder-Id", id);
  if (const auto log = call.service.streams().find(id, call.who.account)) {
    return log->attach(call.exchange, after);
  }
  Journal* journal = call.service.journal();
  if (journal == nullptr) return call.fail(no_such_stream());
  journal->read(id, call.who.account, [call, after](Result<JournalEntry> entry) {
    call.exchange->post([call, after, entry = std::move(entry)]() mutable {
      if (call.exchange->gone()) return;  // nobody would read what is written again
      if (!entry.ok()) return call.fail(no_such_stream());
      try {
        write_again(call, std::move(entry).value(), after);
      } catch (const std::exception& error) {  // out of memory, most likely
        call.fail(failed(error));
      }
    });
  });
}

void show_openapi(const Call& call) {
  Json description = Json::parse(openapi_text());
  description["info"]["version"] = call.service.options().version;
  call.exchange->respond({200, "application/json", dump(description), {}});
}

}  // namespace ponder
