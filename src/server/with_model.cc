#include "server/with_model.h"

#include <atomic>

#include "server/model_store.h"
#include "server/service.h"

namespace ponder {

bool may_use_model(const Call& call, const std::string& name) {
  if (call.who.may_use(name)) return true;
  const std::optional<ModelEntry> entry = call.service.models().entry(name);
  return entry && call.who.may_use(entry->name);
}

bool may_use_found(const Call& call, const std::string& name, const ServedModel& model) {
  return call.who.may_use(name) || call.who.may_use(model.name());
}

ApiError model_error(const Call& call, const std::string& name, const Status& status) {
  switch (status.code()) {
    case Code::kNotFound:
      return call.dialect.no_model(name);
    case Code::kExhausted:
      return unavailable(status.message(), 1);
    case Code::kCancelled:
      return unavailable(status.message(), 5);
    default:
      return api_error(status, "model");
  }
}

void with_model(const Call& call, ModelQuery query,
                std::function<void(const std::shared_ptr<const ServedModel>&)> work) {
  const std::string name = query.name;
  if (!may_use_model(call, name)) return call.fail(call.dialect.no_model(name));
  auto left = std::make_shared<std::atomic<bool>>(false);
  call.exchange->on_disconnect = [left] { *left = true; };
  query.abandoned = [left] { return left->load(); };
  const auto then = [call, name, left, work = std::move(work)](ModelHost::Found found) {
    call.exchange->post([call, name, work, left, found = std::move(found)] {
      if (*left) return;
      call.exchange->on_disconnect = nullptr;
      if (!found.ok()) return call.fail(model_error(call, name, found.status()));
      if (!may_use_found(call, name, **found)) return call.fail(call.dialect.no_model(name));
      try {
        call.exchange->notes.emplace_back("model", found.value()->name());
        work(found.value());
      } catch (const std::exception& error) {  // out of memory, most likely
        call.fail(failed(error));
      }
    });
  };
  call.service.models().find(std::move(query), then);
}

void answer_later(const Call& call, std::function<Result<WebReply>()> work) {
  const auto finish = [call](const std::shared_ptr<Result<WebReply>>& result) {
    if (!result->ok()) return call.fail(api_error(result->status(), "model"));
    call.exchange->respond(std::move(result->value()));
  };
  ModelStore* store = call.service.models().store();
  if (store == nullptr) return finish(std::make_shared<Result<WebReply>>(work()));
  const bool begun = store->run([call, work = std::move(work), finish] {
    std::shared_ptr<Result<WebReply>> result;
    try {
      result = std::make_shared<Result<WebReply>>(work());
    } catch (const std::exception& error) {  // out of memory, most likely
      result = std::make_shared<Result<WebReply>>(io_error(failed(error).message));
    }
    call.exchange->post([result, finish] { finish(result); });
  });
  if (!begun) call.fail(unavailable("server busy, please try again", 1));
}

}  // namespace ponder
