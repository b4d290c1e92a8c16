// /tokenize, /detokenize and /apply-template.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/llama_server.h"
#include "server/openai_fields.h"
#include "server/prompt.h"
#include "server/service.h"
#include "server/with_model.h"
#include "text/utf8.h"

namespace ponder {
namespace {

bool is_id(const Json& value) {
  return value.is_number_integer() && value >= 0 && value <= INT32_MAX;
}

// As text, or as a list of bytes where it is a part of a character.
Json piece_of(std::string_view bytes) {
  if (is_utf8(bytes)) return bytes;
  Json out = Json::array();
  for (const char c : bytes) out.push_back(static_cast<int>(static_cast<unsigned char>(c)));
  return out;
}

// Reads a body by `read`, which fills `out`. False: answered.
template <typename Wanted, typename Read>
bool read_body(const Call& call, Wanted& out, Read read) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) {
    call.fail(bad_request(body.status().message()));
    return false;
  }
  Fields fields(*body);
  out.model = fields.text("model", 512).value_or("");
  read(fields, out);
  if (!fields.ok()) {
    call.fail(fields.error());
    return false;
  }
  for (std::string& warning : fields.warnings()) out.warnings.push_back(std::move(warning));
  return true;
}

void respond(const Call& call, Json body, const std::vector<std::string>& warnings) {
  if (!warnings.empty()) body["warnings"] = warnings;
  call.exchange->respond({200, "application/json", dump(body), {}});
}

struct TokenizeRequest {
  std::string model;
  std::vector<std::string> warnings;
  MixedText content;
  EncodeOptions options;
  bool pieces = false;
};

struct DetokenizeRequest {
  std::string model;
  std::vector<std::string> warnings;
  std::vector<int32_t> ids;
};

}  // namespace

bool read_mixed(const Json& value, MixedText& out) {
  out.clear();
  if (value.is_string()) {
    out.push_back({value.get<std::string>(), {}, {}});
    return true;
  }
  if (!value.is_array()) return false;
  for (const Json& item : value) {
    if (item.is_string()) {
      out.push_back({item.get<std::string>(), {}, {}});
    } else if (is_id(item)) {
      if (out.empty() || out.back().ids.empty()) out.emplace_back();
      out.back().ids.push_back(item.get<int32_t>());
    } else {
      return false;
    }
  }
  return !out.empty();
}

std::vector<int32_t> mixed_ids(const Tokenizer& tokenizer, const MixedText& parts,
                               const EncodeOptions& options) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < parts.size(); ++i) {
    const EncodeOptions now{options.add_special && i == 0, options.parse_special};
    const std::vector<int32_t> ids =
        parts[i].ids.empty() ? tokenizer.encode(parts[i].text, now) : parts[i].ids;
    out.insert(out.end(), ids.begin(), ids.end());
  }
  return out;
}

void llama_tokenize(const Call& call) {
  auto wanted = std::make_shared<TokenizeRequest>();
  const auto read = [](Fields& fields, TokenizeRequest& out) {
    const Json* content = fields.any("content");
    if (content == nullptr) return fields.fail("content", "`content` is missing");
    const bool none = content->is_array() && content->empty();
    if (!read_mixed(*content, out.content) && !none) {
      fields.fail("content", "`content` must be a string, or a list of strings and token ids");
    }
    out.options.add_special = fields.boolean("add_special").value_or(false);
    out.options.parse_special = fields.boolean("parse_special").value_or(true);
    out.pieces = fields.boolean("with_pieces").value_or(false);
  };
  if (!read_body(call, *wanted, read)) return;
  with_model(call, wanted->model, [call, wanted](const auto& model) {
    Json tokens = Json::array();
    for (const int32_t id : mixed_ids(model->tokenizer(), wanted->content, wanted->options)) {
      if (wanted->pieces) {
        tokens.push_back({{"id", id}, {"piece", piece_of(model->tokenizer().token_bytes(id))}});
      } else {
        tokens.push_back(id);
      }
    }
    respond(call, {{"tokens", std::move(tokens)}}, wanted->warnings);
  });
}

void llama_detokenize(const Call& call) {
  auto wanted = std::make_shared<DetokenizeRequest>();
  const auto read = [](Fields& fields, DetokenizeRequest& out) {
    const Json* list = fields.list("tokens");
    if (list == nullptr) {
      if (fields.ok()) fields.fail("tokens", "`tokens` is missing; expected a list of token ids");
      return;
    }
    for (const Json& item : *list) {
      if (!is_id(item)) return fields.fail("tokens", "`tokens` must be a list of token ids");
      out.ids.push_back(item.get<int32_t>());
    }
  };
  if (!read_body(call, *wanted, read)) return;
  with_model(call, wanted->model, [call, wanted](const auto& model) {
    for (const int32_t id : wanted->ids) {
      if (id < model->tokenizer().vocab_size()) continue;
      return call.fail(bad_field("tokens", fmt::format("`tokens`: the token id {} is not below {}",
                                                       id, model->tokenizer().vocab_size())));
    }
    respond(call, {{"content", model->tokenizer().decode(wanted->ids)}}, wanted->warnings);
  });
}

void llama_apply_template(const Call& call) {
  auto wanted = std::make_shared<GenerateRequest>();
  const RequestLimits& limits = call.service.limits();
  const auto read = [&limits](Fields& fields, GenerateRequest& out) {
    read_messages(fields, limits, out);
    read_tools(fields, limits, out);
    read_thinking(fields, out);
  };
  if (!read_body(call, *wanted, read)) return;
  with_model(call, wanted->model, [call, wanted](const auto& model) {
    const Result<std::vector<BuiltPrompt>> built = build_prompts(*model, *wanted);
    if (!built.ok()) return call.fail(api_error(built.status(), "messages"));
    respond(call, {{"prompt", built->front().text}}, wanted->warnings);
  });
}

}  // namespace ponder
