#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/file.h"
#include "io/json.h"
#include "model/config.h"

namespace ponder {
namespace {

using nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{16} << 20;

// Typed access to an object's keys; a key that is null counts as absent. The first problem is kept
// in status().
class Fields {
 public:
  Fields(const json& object, std::string prefix) : object_(object), prefix_(std::move(prefix)) {}

  const Status& status() const { return status_; }

  const json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  // `fallback` if the key is absent; without one the key is required.
  int64_t integer(const char* key, std::optional<int64_t> fallback = {}) {
    const json* value = lookup(key, "an integer", fallback.has_value());
    if (value == nullptr) return fallback.value_or(0);
    const std::optional<int64_t> whole = as_integer(*value);
    if (!whole) wrong(key, "an integer");
    return whole.value_or(0);
  }
  double number(const char* key, std::optional<double> fallback = {}) {
    const json* value = lookup(key, "a number", fallback.has_value());
    if (value == nullptr) return fallback.value_or(0.0);
    if (value->is_number()) return value->get<double>();
    wrong(key, "a number");
    return 0.0;
  }
  bool boolean(const char* key, bool fallback) {
    const json* value = lookup(key, "true or false", true);
    if (value == nullptr) return fallback;
    if (value->is_boolean()) return value->get<bool>();
    wrong(key, "true or false");
    return fallback;
  }
  std::string string(const char* key, std::optional<std::string> fallback = {}) {
    const json* value = lookup(key, "a string", fallback.has_value());
    if (value == nullptr) return fallback.value_or("");
    if (value->is_string()) return value->get<std::string>();
    wrong(key, "a string");
    return "";
  }
  // A number or a list of numbers.
  std::vector<int64_t> integers(const char* key) {
    std::vector<int64_t> out;
    const json* value = find(key);
    if (value == nullptr) return out;
    for (const json& item : value->is_array() ? *value : json::array({*value})) {
      const std::optional<int64_t> whole = as_integer(item);
      if (!whole) wrong(key, "an integer or a list of integers");
      out.push_back(whole.value_or(0));
    }
    return out;
  }

  void wrong(const char* key, const std::string& expected) {
    fail(invalid(fmt::format("{}{}: expected {}", prefix_, key, expected)));
  }
  void refuse(const char* key, const std::string& what) {
    fail(unsupported(fmt::format("{}{}: {}", prefix_, key, what)));
  }

 private:
  const json* lookup(const char* key, const char* expected, bool optional) {
    const json* value = find(key);
    if (value == nullptr && !optional) {
      fail(invalid(fmt::format("{}{} is missing, expected {}", prefix_, key, expected)));
    }
    return value;
  }
  void fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  // Some published files write whole numbers as 2048.0.
  static std::optional<int64_t> as_integer(const json& value) {
    if (value.is_number_unsigned()) {
      const auto whole = value.get<uint64_t>();
      if (whole > uint64_t{INT64_MAX}) return {};
      return static_cast<int64_t>(whole);
    }
    if (value.is_number_integer()) return value.get<int64_t>();
    if (!value.is_number_float()) return {};
    const auto real = value.get<double>();
    if (std::trunc(real) != real || std::fabs(real) > 0x1p53) return {};
    return static_cast<int64_t>(real);
  }

  const json& object_;
  std::string prefix_;
  Status status_;
};

// Keys that change the computation into something this program does not do.
void refuse_variants(Fields& top) {
  const std::string activation = top.string("hidden_act", "silu");
  if (activation != "silu") top.refuse("hidden_act", in_quotes(activation) + ", expected \"silu\"");
  if (top.boolean("mlp_bias", false)) top.refuse("mlp_bias", "true, expected false");
  if (top.boolean("use_sliding_window", false) && top.find("sliding_window") != nullptr) {
    top.refuse("use_sliding_window", "true, expected full attention");
  }
  if (top.number("partial_rotary_factor", 1.0) != 1.0) {
    top.refuse("partial_rotary_factor", "expected 1");
  }
  const json* layers = top.find("layer_types");
  if (layers == nullptr) return;
  if (!layers->is_array()) return top.wrong("layer_types", "a list");
  for (const json& type : *layers) {
    if (type != "full_attention")
      return top.refuse("layer_types", "expected \"full_attention\" only");
  }
}

Status read_scaling(const json& object, const std::string& prefix, const Config& config,
                    int64_t original, RopeConfig& rope) {
  Fields fields(object, prefix);
  rope.theta = fields.number("rope_theta", rope.theta);
  if (fields.number("partial_rotary_factor", 1.0) != 1.0) {
    fields.refuse("partial_rotary_factor", "expected 1");
  }
  const char* key = fields.find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = fields.string(key, "default");
  original = fields.integer("original_max_position_embeddings", original);
  if (type == "linear") {
    rope.kind = RopeKind::kLinear;
    rope.factor = fields.number("factor");
  } else if (type == "llama3") {
    rope.kind = RopeKind::kLlama3;
    rope.factor = fields.number("factor");
    rope.low_freq_factor = fields.number("low_freq_factor");
    rope.high_freq_factor = fields.number("high_freq_factor");
    rope.original_max_position_embeddings = original;
  } else if (type == "yarn") {
    rope.kind = RopeKind::kYarn;
    rope.original_max_position_embeddings = original;
    rope.factor = fields.number("factor", static_cast<double>(config.max_position_embeddings) /
                                              static_cast<double>(original));
    rope.beta_fast = fields.number("beta_fast", 32.0);
    rope.beta_slow = fields.number("beta_slow", 1.0);
    rope.truncate = fields.boolean("truncate", true);
    if (fields.find("attention_factor") != nullptr) {
      rope.attention_factor = fields.number("attention_factor");
    }
    rope.mscale = fields.number("mscale", 0.0);
    rope.mscale_all_dim = fields.number("mscale_all_dim", 0.0);
  } else if (type != "default") {
    fields.refuse(key, in_quotes(type) + ", expected default, linear, llama3 or yarn");
  }
  return fields.status();
}

// Published files have rope_theta and rope_scaling at top level, transformers 5 writes
// rope_parameters; where both are, the older wins, as in transformers.
Status read_rope(Fields& top, Config& config) {
  config.rope.theta = top.number("rope_theta", 10000.0);
  const int64_t original =
      top.integer("original_max_position_embeddings", config.max_position_embeddings);
  RETURN_IF_ERROR(top.status());
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* object = top.find(key);
    if (object == nullptr) continue;
    if (!object->is_object()) return invalid(fmt::format("{}: expected an object", key));
    return read_scaling(*object, std::string(key) + ".", config, original, config.rope);
  }
  return {};
}

constexpr std::pair<const char*, TopkMethod> kTopkMethods[] = {
    {"greedy", TopkMethod::kGreedy},
    {"group_limited_greedy", TopkMethod::kGroupLimitedGreedy},
    {"noaux_tc", TopkMethod::kNoauxTc},
};

const char* topk_name(TopkMethod method) {
  for (const auto& [name, value] : kTopkMethods) {
    if (value == method) return name;
  }
  PONDER_CHECK(false);
}

// What only DeepSeek's configurations have. Absent keys: as the configuration classes of
// transformers have it, but sizes without which there is no model are required.
void read_deepseek(Fields& top, Config& config) {
  const bool v3 = config.architecture == "deepseek_v3";
  MlaConfig& mla = config.mla;
  mla.q_lora_rank = top.integer("q_lora_rank", 0);
  mla.kv_lora_rank = top.integer("kv_lora_rank");
  mla.qk_nope_head_dim = top.integer("qk_nope_head_dim");
  mla.qk_rope_head_dim = top.integer("qk_rope_head_dim");
  mla.v_head_dim = top.integer("v_head_dim");
  // Two sizes within limits; validate() sees to those.
  const int64_t limit = int64_t{1} << 40;
  config.head_dim = std::clamp(mla.qk_nope_head_dim, -limit, limit) +
                    std::clamp(mla.qk_rope_head_dim, -limit, limit);
  if (!top.boolean("rope_interleave", true)) {
    top.refuse("rope_interleave", "false, expected true");
  }
  if (top.find("mla_absorb") != nullptr) config.mla_absorb = top.boolean("mla_absorb", true);
  config.num_nextn_predict_layers = top.integer("num_nextn_predict_layers", 0);

  MoeConfig& moe = config.moe;
  moe.n_routed_experts = top.integer("n_routed_experts", 0);
  if (moe.n_routed_experts == 0) {
    moe = {};
    return;
  }
  moe.n_shared_experts = top.integer("n_shared_experts", 0);
  moe.num_experts_per_tok = top.integer("num_experts_per_tok");
  moe.moe_intermediate_size = top.integer("moe_intermediate_size");
  moe.first_k_dense_replace = top.integer("first_k_dense_replace", v3 ? 3 : 0);
  moe.moe_layer_freq = top.integer("moe_layer_freq", 1);
  moe.norm_topk_prob = top.boolean("norm_topk_prob", moe.norm_topk_prob);
  moe.routed_scaling_factor = top.number("routed_scaling_factor", 1.0);
  moe.aux_loss_alpha = top.number("aux_loss_alpha", 0.0);
  const std::string scoring = top.string("scoring_func", v3 ? "sigmoid" : "softmax");
  moe.sigmoid = scoring == "sigmoid";
  if (!moe.sigmoid && scoring != "softmax") {
    top.refuse("scoring_func", in_quotes(scoring) + ", expected sigmoid or softmax");
  }
  const std::string method = top.string("topk_method", topk_name(moe.topk_method));
  const auto* row = std::find_if(std::begin(kTopkMethods), std::end(kTopkMethods),
                                 [&](const auto& known) { return method == known.first; });
  if (row == std::end(kTopkMethods)) {
    return top.refuse("topk_method",
                      in_quotes(method) + ", expected greedy, group_limited_greedy or noaux_tc");
  }
  moe.topk_method = row->second;
  if (moe.topk_method == TopkMethod::kGreedy) return;  // groups, if stated, mean nothing
  moe.n_group = top.integer("n_group", 1);
  moe.topk_group = top.integer("topk_group", 1);
}

Result<Config> read_config(const json& root) {
  if (!root.is_object()) return invalid("expected a JSON object");
  Fields top(root, "");
  const std::string type = top.string("model_type");
  RETURN_IF_ERROR(top.status());
  if (!Config::is_architecture(type)) {
    return unsupported(fmt::format("model_type is {}, expected one of {}", in_quotes(type),
                                   Config::architectures()));
  }
  const bool deepseek = type.starts_with("deepseek");
  const bool biased = type != "qwen2" && top.boolean("attention_bias", false);
  if (deepseek && biased) top.refuse("attention_bias", "true, expected false");
  Config config = Config::of(type, biased);
  config.vocab_size = top.integer("vocab_size");
  config.hidden_size = top.integer("hidden_size");
  config.intermediate_size = top.integer("intermediate_size");
  config.num_hidden_layers = top.integer("num_hidden_layers");
  config.num_attention_heads = top.integer("num_attention_heads");
  config.max_position_embeddings = top.integer("max_position_embeddings");
  config.num_key_value_heads = top.integer("num_key_value_heads", config.num_attention_heads);
  // transformers: qwen3 has heads of 128 unless told otherwise, the others divide the hidden size.
  // DeepSeek's head_dim, where it is given, is that of the rotated part.
  if (deepseek) {
    read_deepseek(top, config);
  } else if (type == "qwen3" || top.find("head_dim") != nullptr) {
    config.head_dim = top.integer("head_dim", 128);
  } else if (config.num_attention_heads > 0 &&
             config.hidden_size % config.num_attention_heads == 0) {
    config.head_dim = config.hidden_size / config.num_attention_heads;
  } else {
    top.wrong("hidden_size", "a multiple of num_attention_heads where there is no head_dim");
  }
  config.rms_norm_eps = top.number("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = top.boolean("tie_word_embeddings", false);
  config.bos_id = top.integer("bos_token_id", -1);
  config.pad_id = top.integer("pad_token_id", -1);
  config.eos_ids = top.integers("eos_token_id");
  refuse_variants(top);
  RETURN_IF_ERROR(read_rope(top, config));
  RETURN_IF_ERROR(top.status());
  RETURN_IF_ERROR(validate(config));
  return config;
}

nlohmann::ordered_json scaling_to_json(const RopeConfig& rope) {
  nlohmann::ordered_json out;
  switch (rope.kind) {
    case RopeKind::kNone:
      return nullptr;
    case RopeKind::kLinear:
      out = {{"rope_type", "linear"}, {"factor", rope.factor}};
      break;
    case RopeKind::kLlama3:
      out = {{"rope_type", "llama3"},
             {"factor", rope.factor},
             {"low_freq_factor", rope.low_freq_factor},
             {"high_freq_factor", rope.high_freq_factor},
             {"original_max_position_embeddings", rope.original_max_position_embeddings}};
      break;
    case RopeKind::kYarn:
      out = {{"rope_type", "yarn"},
             {"factor", rope.factor},
             {"original_max_position_embeddings", rope.original_max_position_embeddings},
             {"beta_fast", rope.beta_fast},
             {"beta_slow", rope.beta_slow}};
      if (!rope.truncate) out["truncate"] = false;
      if (rope.attention_factor) out["attention_factor"] = *rope.attention_factor;
      if (rope.mscale != 0.0) out["mscale"] = rope.mscale;
      if (rope.mscale_all_dim != 0.0) out["mscale_all_dim"] = rope.mscale_all_dim;
      break;
  }
  out["type"] = out["rope_type"];  // what the files that come with older models read
  return out;
}

const char* torch_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    default:
      PONDER_CHECK(false, "a dtype that no Hugging Face folder has");
  }
}

void deepseek_to_json(const Config& config, nlohmann::ordered_json& out) {
  const MlaConfig& mla = config.mla;
  out["q_lora_rank"] = mla.q_lora_rank == 0 ? json() : json(mla.q_lora_rank);
  out["kv_lora_rank"] = mla.kv_lora_rank;
  out["qk_nope_head_dim"] = mla.qk_nope_head_dim;
  out["qk_rope_head_dim"] = mla.qk_rope_head_dim;
  out["v_head_dim"] = mla.v_head_dim;
  if (config.mla_absorb) out["mla_absorb"] = *config.mla_absorb;
  out["num_nextn_predict_layers"] = config.num_nextn_predict_layers;
  const MoeConfig& moe = config.moe;
  out["n_routed_experts"] = moe.n_routed_experts == 0 ? json() : json(moe.n_routed_experts);
  if (moe.n_routed_experts == 0) return;
  out["n_shared_experts"] = moe.n_shared_experts;
  out["num_experts_per_tok"] = moe.num_experts_per_tok;
  out["moe_intermediate_size"] = moe.moe_intermediate_size;
  out["first_k_dense_replace"] = moe.first_k_dense_replace;
  out["moe_layer_freq"] = moe.moe_layer_freq;
  out["n_group"] = moe.n_group;
  out["topk_group"] = moe.topk_group;
  out["topk_method"] = topk_name(moe.topk_method);
  out["scoring_func"] = moe.sigmoid ? "sigmoid" : "softmax";
  out["norm_topk_prob"] = moe.norm_topk_prob;
  out["routed_scaling_factor"] = moe.routed_scaling_factor;
  out["aux_loss_alpha"] = moe.aux_loss_alpha;
  out["seq_aux"] = true;
}

// The class that transformers loads it with.
const char* class_name(const std::string& architecture) {
  if (architecture == "llama") return "LlamaForCausalLM";
  if (architecture == "qwen2") return "Qwen2ForCausalLM";
  if (architecture == "qwen3") return "Qwen3ForCausalLM";
  return architecture == "deepseek_v2" ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM";
}

}  // namespace

Result<Config> config_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const json root,
                   parse_json(text, {.max_bytes = kMaxConfigBytes, .max_depth = 32}));
  return read_config(root);
}

Result<Config> load_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxConfigBytes));
  Result<Config> config = config_from_json(text);
  if (!config.ok()) return config.status().with_prefix(path);
  return config;
}

std::string config_to_json(const Config& config, DType dtype) {
  const std::string& arch = config.architecture;
  const auto id_or_null = [](int64_t id) { return id < 0 ? json() : json(id); };
  nlohmann::ordered_json out;
  out["architectures"] = {class_name(arch)};
  out["model_type"] = arch;
  out["hidden_act"] = "silu";
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.hidden_size;
  out["intermediate_size"] = config.intermediate_size;
  out["num_hidden_layers"] = config.num_hidden_layers;
  out["num_attention_heads"] = config.num_attention_heads;
  out["num_key_value_heads"] = config.num_key_value_heads;
  if (config.is_mla()) {
    deepseek_to_json(config, out);
  } else {
    out["head_dim"] = config.head_dim;
  }
  out["max_position_embeddings"] = config.max_position_embeddings;
  out["rms_norm_eps"] = config.rms_norm_eps;
  out["tie_word_embeddings"] = config.tie_word_embeddings;
  if (arch != "qwen2") out["attention_bias"] = config.attention_bias;
  if (arch.starts_with("qwen")) out["use_sliding_window"] = false;
  out["rope_theta"] = config.rope.theta;
  out["rope_scaling"] = scaling_to_json(config.rope);
  out["bos_token_id"] = id_or_null(config.bos_id);
  out["eos_token_id"] = config.eos_ids.size() == 1 ? json(config.eos_ids[0])
                        : config.eos_ids.empty()   ? json()
                                                   : json(config.eos_ids);
  out["pad_token_id"] = id_or_null(config.pad_id);
  out["torch_dtype"] = torch_dtype(dtype);
  return out.dump(2) + "\n";
}

}  // namespace ponder
