// What the Ollama dialect's requests and replies have in common.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/dialect.h"
#include "server/fields.h"
#include "server/model_host.h"

namespace ponder {

// {"error": MESSAGE}
WebReply ollama_error(const ApiError& error);
// A line of a stream, or a whole body.
std::string ollama_line(const Json& value);
WebReply ollama_reply(const Json& body);
void ollama_respond(const Call& call, const Json& body);

// "5m", "1h30m", "-1", "300" (seconds): in seconds, below 0 for ever. None: not a duration.
std::optional<double> parse_keep_alive(std::string_view text);
// The field keep_alive: a number of seconds or such a text.
std::optional<double> read_keep_alive(Fields& fields);

// model, or its older name.
std::string read_model_name(Fields& fields);
// The options map: sampling, limits, stops. What has no effect here adds a warning.
void read_ollama_options(Fields& fields, const RequestLimits& limits, GenerateRequest& out);
// think, format, keep_alive, logprobs, stream and what is known and does nothing.
void read_ollama_common(Fields& fields, const RequestLimits& limits, GenerateRequest& out);
void read_ollama_messages(Fields& fields, const RequestLimits& limits, GenerateRequest& out);
// Lists of images are refused: only text goes in. False: there was one, and the error is kept.
bool without_images(Fields& fields);

ApiError ollama_no_model(const std::string& name);

// "completion", "tools", "insert", "thinking"
std::vector<std::string> capabilities_of(const ServedModel& model);

// Handlers.
void ollama_chat(Call call);
void ollama_generate(Call call);
void ollama_embed(const Call& call);
void ollama_embeddings(const Call& call);
void ollama_tags(const Call& call);
void ollama_ps(const Call& call);
void ollama_show(const Call& call);
void ollama_copy(const Call& call);
void ollama_delete(const Call& call);
void ollama_pull(const Call& call);
void ollama_push(const Call& call);
void ollama_create(const Call& call);
void ollama_has_blob(const Call& call);
void ollama_add_blob(const Call& call);

}  // namespace ponder
