#include "server/openai_embeddings.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "server/embed.h"
#include "server/openai_fields.h"
#include "server/service.h"
#include "server/with_model.h"

namespace ponder {
namespace {

constexpr size_t kMostInputs = 2048;

std::string base64(const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little, "clients read little-endian float32");
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  const size_t size = values.size() * sizeof(float);
  std::string out;
  out.reserve((size + 2) / 3 * 4);
  for (size_t i = 0; i < size; i += 3) {
    const size_t left = size - i;
    const uint32_t group = (uint32_t{bytes[i]} << 16) |
                           (left > 1 ? uint32_t{bytes[i + 1]} << 8 : 0) |
                           (left > 2 ? uint32_t{bytes[i + 2]} : 0);
    out += kDigits[group >> 18];
    out += kDigits[(group >> 12) & 63];
    out += left > 1 ? kDigits[(group >> 6) & 63] : '=';
    out += left > 2 ? kDigits[group & 63] : '=';
  }
  return out;
}

struct Wanted {
  std::string model;
  std::vector<TextPrompt> inputs;
  bool base64 = false;
  std::optional<int64_t> dimensions;
  std::vector<std::string> warnings;
};

bool add_input(const Json& one, Wanted& out) {
  TextPrompt input;
  if (one.is_string()) {
    input.text = one.get<std::string>();
  } else if (one.is_array() && !one.empty()) {
    for (const Json& id : one) {
      if (!id.is_number_integer() || id < 0 || id > INT32_MAX) return false;
      input.ids.push_back(id.get<int32_t>());
    }
  } else {
    return false;
  }
  out.inputs.push_back(std::move(input));
  return true;
}

void read_inputs(Fields& fields, Wanted& out) {
  const Json* input = fields.any("input");
  if (input == nullptr) return fields.fail("input", "`input` is missing");
  if (add_input(*input, out)) return;
  bool good = input->is_array() && !input->empty() && input->size() <= kMostInputs;
  for (size_t i = 0; good && i < input->size(); ++i) good = add_input((*input)[i], out);
  if (!good) {
    fields.fail("input", fmt::format("`input` must be a string, a list of token ids, or a list of "
                                     "at most {} of either",
                                     kMostInputs));
  }
}

Wanted read_wanted(Fields& fields) {
  Wanted out;
  out.model = fields.text("model", 512).value_or("");
  read_inputs(fields, out);
  const std::string format = fields.text("encoding_format", 64).value_or("float");
  out.base64 = format == "base64";
  if (format != "float" && format != "base64") {
    fields.fail("encoding_format", "`encoding_format` must be float or base64");
  }
  out.dimensions = fields.integer("dimensions", 1, INT32_MAX);
  fields.skip("user");
  return out;
}

WebReply reply(const Wanted& wanted, const Vectors& vectors, int64_t tokens) {
  Json data = Json::array();
  for (size_t i = 0; i < vectors.size(); ++i) {
    Json one = {{"object", "embedding"}, {"index", i}};
    one["embedding"] = wanted.base64 ? Json(base64(vectors[i])) : Json(vectors[i]);
    data.push_back(std::move(one));
  }
  Json body = {{"object", "list"},
               {"data", std::move(data)},
               {"model", wanted.model},
               {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
  if (!wanted.warnings.empty()) body["warnings"] = wanted.warnings;
  return {200, "application/json", dump(body), {}};
}

void compute(const Call& call, const std::shared_ptr<Wanted>& wanted,
             const std::shared_ptr<const ServedModel>& model) {
  if (wanted->dimensions && *wanted->dimensions != model->hidden_size()) {
    return call.fail(bad_field(
        "dimensions", fmt::format("`dimensions`: vectors of {} have {} numbers and cannot be cut",
                                  model->name(), model->hidden_size())));
  }
  std::vector<std::vector<int32_t>> inputs;
  int64_t tokens = 0;
  for (const TextPrompt& input : wanted->inputs) {
    inputs.push_back(input.ids.empty() ? model->tokenizer().encode(input.text) : input.ids);
    for (const int32_t id : inputs.back()) {
      if (id >= model->config().vocab_size) {
        return call.fail(bad_field("input", fmt::format("`input`: the token id {} is not below {}",
                                                        id, model->config().vocab_size)));
      }
    }
    tokens += static_cast<int64_t>(inputs.back().size());
  }
  if (wanted->model.empty()) wanted->model = model->name();
  embed(call.service.loop(), model, std::move(inputs),
        [call, wanted, tokens](Result<Vectors> vectors) {
          auto held = std::make_shared<Result<Vectors>>(std::move(vectors));
          call.exchange->post([call, wanted, tokens, held] {
            if (!held->ok()) return call.fail(api_error(held->status(), "input"));
            call.exchange->respond(reply(*wanted, held->value(), tokens));
          });
        });
}

}  // namespace

void embeddings(Call call) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  auto wanted = std::make_shared<Wanted>(read_wanted(fields));
  if (!fields.ok()) return call.fail(fields.error());
  wanted->warnings = fields.warnings();
  with_model(call, wanted->model,
             [call, wanted](const auto& model) { compute(call, wanted, model); });
}

}  // namespace ponder
