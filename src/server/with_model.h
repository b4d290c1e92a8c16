// A model for a call that is not answered by generate(), and other things that a call may have to wait
// for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/dialect.h"
#include "server/model_host.h"

namespace ponder {

// Whether the caller may use what the name stands for: the name, or the one that the model is listed
// under, is among those that the key has.
bool may_use_model(const Call& call, const std::string& name);

// The same of the model that was found for the name: "" and aliases may stand for another one by then.
bool may_use_found(const Call& call, const std::string& name, const ServedModel& model);

// What the client of `call` is told when ModelHost::find() failed.
ApiError model_error(const Call& call, const std::string& name, const Status& status);

// Finds or loads the model and runs `work` with it on the exchange's sequence. Where there is none, or the
// key may not use it, the call is answered with the error. Nothing is loaded for a client that has left.
void with_model(const Call& call, ModelQuery query,
                std::function<void(const std::shared_ptr<const ServedModel>&)> work);

// Does `work`, which may wait for a disk, on a thread of the store's (here, if the host has none) and
// answers the call with what it returns.
void answer_later(const Call& call, std::function<Result<WebReply>()> work);

}  // namespace ponder
