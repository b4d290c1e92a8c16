#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "core/file.h"
#include "core/rng.h"
#include "core/sha256.h"
#include "io/safetensors.h"
#include "model/builder.h"
#include "model/registry.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr size_t kAlign = 64;

// Where each tensor of a layer goes.
struct LayerField {
  const char* suffix;
  Weight DenseLayer::*field;
};
constexpr LayerField kLayerFields[] = {
    {"input_layernorm.weight", &DenseLayer::input_layernorm},
    {"self_attn.q_proj.weight", &DenseLayer::q_proj},
    {"self_attn.k_proj.weight", &DenseLayer::k_proj},
    {"self_attn.v_proj.weight", &DenseLayer::v_proj},
    {"self_attn.o_proj.weight", &DenseLayer::o_proj},
    {"self_attn.q_proj.bias", &DenseLayer::q_bias},
    {"self_attn.k_proj.bias", &DenseLayer::k_bias},
    {"self_attn.v_proj.bias", &DenseLayer::v_bias},
    {"self_attn.o_proj.bias", &DenseLayer::o_bias},
    {"self_attn.q_norm.weight", &DenseLayer::q_norm},
    {"self_attn.k_norm.weight", &DenseLayer::k_norm},
    {"post_attention_layernorm.weight", &DenseLayer::post_attention_layernorm},
    {"mlp.gate_proj.weight", &DenseLayer::gate_proj},
    {"mlp.up_proj.weight", &DenseLayer::up_proj},
    {"mlp.down_proj.weight", &DenseLayer::down_proj},
};

Result<size_t> stored_bytes(const Weight& w) {
  return w.layout == Layout::kPanels
             ? static_cast<size_t>(ponder::weight_bytes(w.dtype, w.rows, w.cols))
             : bytes_for(w.dtype, w.rows * w.cols);
}

// The bytes of one parameter in file order.
std::vector<std::byte> file_bytes(const Weight& w) {
  const size_t size = *bytes_for(w.dtype, w.rows * w.cols);
  std::vector<std::byte> out(size);
  if (w.layout == Layout::kPanels) {
    panels_to_rows(w, 0, w.rows, out.data());
  } else {
    std::memcpy(out.data(), w.data, size);
  }
  return out;
}

std::vector<float> values_of(const Weight& w, const float* data) {
  std::vector<float> out(static_cast<size_t>(w.rows * w.cols));
  Weight view = w;
  view.data = const_cast<float*>(data);
  view.dtype = DType::kF32;
  if (w.layout == Layout::kPanels) {
    panels_to_rows(view, 0, w.rows, out.data());
  } else {
    std::copy(data, data + out.size(), out.begin());
  }
  return out;
}

}  // namespace

Result<Model> ModelBuilder::lay_out(const Config& config,
                                    const std::function<Placement(const TensorSpec&)>& place) {
  RETURN_IF_ERROR(validate(config));
  const Architecture* architecture = find_architecture(config.architecture);
  if (architecture == nullptr) return unsupported("architecture " + config.architecture);
  std::vector<TensorSpec> specs = expected_tensors(config);
  std::sort(specs.begin(), specs.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  Model model;
  model.config_ = std::make_unique<Config>(config);
  model.forward_ = architecture->forward;
  size_t size = 0;
  std::vector<size_t> offsets;
  for (const TensorSpec& spec : specs) {
    Weight w;
    const bool matrix = spec.shape.size() == 2;
    w.rows = matrix ? spec.shape[0] : 1;
    w.cols = spec.shape.back();
    const Placement placement = matrix ? place(spec) : Placement{DType::kF32, Layout::kPlain};
    w.layout = placement.layout;
    w.dtype = placement.dtype;
    w.data = const_cast<std::byte*>(placement.mapped);
    const int64_t block = format_of(w.dtype).block_values;
    if (w.cols % block != 0) {
      return invalid(fmt::format("{}: {} needs rows of a multiple of {} values, this has {}",
                                 spec.name, format_of(w.dtype).name, block, w.cols));
    }
    ASSIGN_OR_RETURN(const size_t bytes, stored_bytes(w));
    offsets.push_back(size);
    if (w.data == nullptr) {
      size += (bytes + kAlign - 1) / kAlign * kAlign;
    } else {
      model.mapped_bytes_ += static_cast<int64_t>(bytes);
    }
    model.parameters_.push_back({spec.name, w});
  }
  model.buffer_ = allocate_pages(size);
  if (model.buffer_ == nullptr) {
    return exhausted(
        fmt::format("no memory for weights of {} bytes; choose a smaller model", size));
  }
  model.buffer_size_ = size;
  for (size_t i = 0; i < offsets.size(); ++i) {
    Weight& w = model.parameters_[i].weight;
    if (w.data == nullptr) w.data = model.buffer_.get() + offsets[i];
  }
  return model;
}

void ModelBuilder::keep(Model& model, std::shared_ptr<const void> file) {
  model.file_ = std::move(file);
}

void ModelBuilder::bind(Model& model) {
  model.layers_.assign(static_cast<size_t>(model.config_->num_hidden_layers), {});
  constexpr std::string_view kLayers = "model.layers.";
  for (const Parameter& p : model.parameters_) {
    if (p.name == "model.embed_tokens.weight") model.embed_tokens_ = p.weight;
    if (p.name == "model.norm.weight") model.norm_ = p.weight;
    if (p.name == "lm_head.weight") model.lm_head_ = p.weight;
    if (!p.name.starts_with(kLayers)) continue;
    const size_t dot = p.name.find('.', kLayers.size());
    const size_t index = std::stoul(p.name.substr(kLayers.size(), dot - kLayers.size()));
    const std::string suffix = p.name.substr(dot + 1);
    for (const LayerField& f : kLayerFields) {
      if (suffix == f.suffix) model.layers_[index].*f.field = p.weight;
    }
  }
}

Status ModelBuilder::set_rope(Model& model, std::span<const float> divisors) {
  ASSIGN_OR_RETURN(RopeTable table, RopeTable::create(*model.config_, divisors));
  model.rope_ = std::make_unique<RopeTable>(std::move(table));
  return {};
}

void ModelBuilder::fill(const Weight& w, const float* values) {
  PONDER_CHECK(w.dtype == DType::kF32);
  if (w.layout == Layout::kPanels) {
    rows_to_panels(DType::kF32, values, 0, w.rows, w.cols, w.data);
  } else {
    std::copy(values, values + w.cols, w.f32());
  }
}

Result<Model> Model::create(const Config& config, uint64_t seed, const Init& init) {
  ASSIGN_OR_RETURN(Model model,
                   ModelBuilder::lay_out(config, [](const TensorSpec&) { return Placement{}; }));
  const double residual = 1.0 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  for (const Parameter& p : model.parameters_) {
    const Weight& w = p.weight;
    std::vector<float> values(static_cast<size_t>(w.rows * w.cols));
    if (w.layout == Layout::kPlain) {
      std::fill(values.begin(), values.end(), p.name.ends_with("norm.weight") ? 1.0f : 0.0f);
    } else {
      double deviation = init.deviation;
      if (init.fan_in && p.name != "model.embed_tokens.weight") {
        deviation = 1.0 / std::sqrt(static_cast<double>(w.cols));
        if (p.name.ends_with("o_proj.weight") || p.name.ends_with("down_proj.weight"))
          deviation *= residual;
      }
      Rng rng(seed, hash64("initial weights"), hash64(p.name));
      for (float& v : values) v = static_cast<float>(rng.normal() * deviation);
    }
    ModelBuilder::fill(w, values.data());
  }
  ModelBuilder::bind(model);
  RETURN_IF_ERROR(ModelBuilder::set_rope(model, {}));
  return model;
}

Tensor Model::forward(Ctx& cx, const Batch& batch) const {
  PONDER_CHECK(!batch.ids.empty() && batch.ids.size() == batch.positions.size());
  return forward_(cx, DenseModel{*config_, embed_tokens_, norm_, layers_, *rope_}, batch);
}

int64_t Model::parameter_count() const {
  int64_t total = 0;
  for (const Parameter& p : parameters_) total += p.weight.rows * p.weight.cols;
  return total;
}

std::span<float> Model::flat_weights() {
  for (const Parameter& p : parameters_) PONDER_CHECK(p.weight.dtype == DType::kF32);
  return {reinterpret_cast<float*>(buffer_.get()), buffer_size_ / sizeof(float)};
}

std::span<float> Model::flat_gradients() {
  PONDER_CHECK(gradients_ != nullptr);
  return {reinterpret_cast<float*>(gradients_.get()), buffer_size_ / sizeof(float)};
}

void Model::attach_gradients() {
  flat_weights();  // checks that all are float32
  gradients_ = allocate_pages(buffer_size_);
  if (gradients_ == nullptr) throw std::bad_alloc();
  for (Parameter& p : parameters_) {
    const std::byte* data = static_cast<const std::byte*>(p.weight.data);
    p.weight.grad = reinterpret_cast<float*>(gradients_.get() + (data - buffer_.get()));
  }
  ModelBuilder::bind(*this);
}

void Model::copy_weights(const Model& other) {
  PONDER_CHECK(buffer_size_ == other.buffer_size_ &&
               parameters_.size() == other.parameters_.size());
  std::memcpy(buffer_.get(), other.buffer_.get(), buffer_size_);
}

std::string Model::weights_hash() const {
  Sha256 hash;
  for (const Parameter& p : parameters_) {
    const std::vector<std::byte> bytes = file_bytes(p.weight);
    hash.update(bytes.data(), bytes.size());
  }
  return hash.hex();
}

std::vector<float> Model::parameter_values(const Weight& w) const {
  if (w.dtype == DType::kF32) return values_of(w, w.f32());
  const std::vector<std::byte> bytes = file_bytes(w);
  std::vector<float> out(static_cast<size_t>(w.rows * w.cols));
  format_of(w.dtype).decode(bytes.data(), out.data(), w.rows * w.cols);
  return out;
}

std::vector<float> Model::gradient_values(const Weight& w) const {
  PONDER_CHECK(w.grad != nullptr);
  return values_of(w, w.grad);
}

Status Model::save(const std::string& path) const {
  RETURN_IF_ERROR(make_directories(path));
  std::vector<std::vector<std::byte>> data;
  std::vector<StoredTensor> tensors;
  DType type = DType::kF32;
  for (const Parameter& p : parameters_) {
    const Weight& w = p.weight;
    data.push_back(file_bytes(w));
    StoredTensor t;
    t.name = p.name;
    t.dtype = w.dtype;
    t.shape = w.layout != Layout::kPlain ? std::vector<int64_t>{w.rows, w.cols}
                                         : std::vector<int64_t>{w.cols};
    t.bytes = data.back();
    tensors.push_back(std::move(t));
    if (p.name == "model.embed_tokens.weight") type = w.dtype;
  }
  RETURN_IF_ERROR(write_safetensors(path + "/model.safetensors", tensors));
  return write_file_atomic(path + "/config.json", config_to_json(*config_, type));
}

}  // namespace ponder
