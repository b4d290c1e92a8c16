// Routes on answers that were given: their receipts, and streams to go on with; and the description of all
// routes.
#pragma once

#include "server/dialect.h"

namespace ponder {

// GET /v1/receipts/ID
void show_receipt(const Call& call);
// GET /v1/streams/ID, with the header Last-Event-ID or the parameter last_event_id.
void resume_stream(Call call);
// GET /openapi.json
void show_openapi(const Call& call);

// The text of openapi.json, which was made part of the program when it was built.
std::string_view openapi_text();

}  // namespace ponder
