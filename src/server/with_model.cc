#include "server/with_model.h"

#include "server/service.h"

namespace ponder {

void with_model(const Call& call, const std::string& name,
                std::function<void(const std::shared_ptr<const ServedModel>&)> work) {
  if (!call.who.may_use(name)) return call.fail(no_such_model(name));
  call.service.models().find(name, [call, name, work = std::move(work)](ModelHost::Found found) {
    call.exchange->post([call, name, work, found = std::move(found)] {
      if (!found.ok()) {
        return call.fail(found.status().code() == Code::kNotFound
                             ? no_such_model(name)
                             : api_error(found.status(), "model"));
      }
      try {
        call.exchange->notes.emplace_back("model", found.value()->name());
        work(found.value());
      } catch (const std::exception& error) {  // out of memory, most likely
        call.fail(internal_error(std::string("the request failed: ") + error.what()));
      }
    });
  });
}

}  // namespace ponder
