// Ollama's /api/embed and the older /api/embeddings.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "server/embed.h"
#include "server/json.h"
#include "server/ollama_fields.h"
#include "server/service.h"
#include "server/with_model.h"

namespace ponder {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMostInputs = 2048, kMostInputBytes = size_t{64} << 20;

struct Wanted {
  std::string model;  // as the client calls it
  std::vector<std::string> inputs;
  bool older = false, truncate = true;
  std::optional<int64_t> dimensions, context;
  std::vector<std::string> warnings;
  Clock::time_point begun = Clock::now();
  int64_t tokens = 0, load_ns = 0;
};

int64_t nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

// The first numbers, of length 1 again.
void cut(std::vector<float>& vector, size_t dimensions) {
  if (dimensions >= vector.size()) return;
  vector.resize(dimensions);
  double squares = 0;
  for (const float value : vector)
    squares += static_cast<double>(value) * static_cast<double>(value);
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  for (float& value : vector) value = static_cast<float>(static_cast<double>(value) * scale);
}

Json reply(const Wanted& wanted, Vectors vectors) {
  if (wanted.older) return {{"embedding", vectors.empty() ? std::vector<float>() : vectors[0]}};
  for (std::vector<float>& vector : vectors) {
    if (wanted.dimensions) cut(vector, static_cast<size_t>(*wanted.dimensions));
  }
  Json out = {{"model", wanted.model},
              {"embeddings", std::move(vectors)},
              {"total_duration", nanoseconds_since(wanted.begun)},
              {"load_duration", wanted.load_ns},
              {"prompt_eval_count", wanted.tokens}};
  if (!wanted.warnings.empty()) out["warnings"] = wanted.warnings;
  return out;
}

void compute(const Call& call, const std::shared_ptr<Wanted>& wanted,
             const std::shared_ptr<const ServedModel>& model) {
  wanted->load_ns = nanoseconds_since(wanted->begun);
  std::vector<std::vector<int32_t>> inputs;
  for (const std::string& text : wanted->inputs) {
    inputs.push_back(model->tokenizer().encode(text));
    const auto most = static_cast<size_t>(model->context_for(wanted->context));
    if (wanted->truncate && inputs.back().size() > most) inputs.back().resize(most);
    wanted->tokens += static_cast<int64_t>(inputs.back().size());
  }
  embed(call.service.loop(), model, std::move(inputs), [call, wanted](Result<Vectors> vectors) {
    auto held = std::make_shared<Result<Vectors>>(std::move(vectors));
    call.exchange->post([call, wanted, held] {
      if (!held->ok()) return call.fail(api_error(held->status(), "input"));
      ollama_respond(call, reply(*wanted, std::move(held->value())));
    });
  });
}

void start(const Call& call, bool older) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  auto wanted = std::make_shared<Wanted>();
  wanted->model = read_model_name(fields);
  wanted->older = older;
  const std::optional<double> keep_alive = read_keep_alive(fields);
  GenerateRequest ignored;
  read_ollama_options(fields, call.service.limits(), ignored);
  if (older) {
    if (auto prompt = fields.text("prompt"); prompt && !prompt->empty()) {
      wanted->inputs.push_back(std::move(*prompt));
    }
  } else {
    wanted->inputs = fields.texts("input", kMostInputs, kMostInputBytes);
    wanted->truncate = fields.boolean("truncate").value_or(true);
    wanted->dimensions = fields.integer("dimensions", 1, INT32_MAX);
    if (!fields.has("input")) fields.fail("input", "`input` is missing");
  }
  if (!fields.ok()) return call.fail(fields.error());
  wanted->warnings = fields.warnings();
  ModelQuery query(wanted->model);
  query.keep_alive = keep_alive;
  query.context = ignored.context.value_or(0);
  wanted->context = ignored.context;
  with_model(call, std::move(query),
             [call, wanted](const auto& model) { compute(call, wanted, model); });
}

}  // namespace

void ollama_embed(const Call& call) { start(call, false); }

void ollama_embeddings(const Call& call) { start(call, true); }

}  // namespace ponder
