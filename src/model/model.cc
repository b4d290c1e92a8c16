#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "core/rng.h"
#include "core/sha256.h"
#include "model/builder.h"
#include "model/deepseek.h"
#include "model/dense.h"
#include "model/registry.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr size_t kAlign = 64;

Result<size_t> stored_bytes(const Weight& w) {
  return w.layout == Layout::kPanels ? static_cast<size_t>(ponder::weight_bytes(w))
                                     : bytes_for(w.dtype, w.rows * w.cols);
}

// Correction biases follow a rule of their own (update_correction_bias), not the gradient.
bool is_optimized(const std::string& name) { return !name.ends_with("e_score_correction_bias"); }

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

std::vector<std::byte> ModelBuilder::file_bytes(const Weight& w) {
  const size_t size = *bytes_for(row_dtype(w), w.rows * w.cols);
  std::vector<std::byte> out(size);
  if (w.layout == Layout::kPanels) {
    panels_to_rows(w, 0, w.rows, out.data());
  } else {
    std::memcpy(out.data(), w.data, size);
  }
  return out;
}

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
  if (config.is_mla()) model.config_->mla_absorb = config.absorbs();
  model.forward_ = architecture->forward;
  for (const TensorSpec& spec : specs) {
    Weight w;
    const bool matrix = spec.shape.size() == 2;
    w.rows = matrix ? spec.shape[0] : 1;
    w.cols = spec.shape.back();
    const Placement placement = matrix ? place(spec) : Placement{DType::kF32, Layout::kPlain};
    w.layout = placement.layout;
    w.dtype = placement.dtype;
    w.groups = placement.groups;
    w.data = const_cast<std::byte*>(placement.mapped);
    const int64_t block = format_of(w.dtype).block_values;
    if (w.cols % block != 0) {
      return invalid(fmt::format("{}: {} needs rows of a multiple of {} values, this has {}",
                                 spec.name, format_of(w.dtype).name, block, w.cols));
    }
    model.parameters_.push_back({spec.name, w});
  }
  RETURN_IF_ERROR(allocate(model));
  return model;
}

Status ModelBuilder::allocate(Model& model) {
  std::vector<Parameter*> owned;
  for (Parameter& p : model.parameters_) {
    ASSIGN_OR_RETURN(const size_t bytes, stored_bytes(p.weight));
    if (p.weight.data == nullptr) {
      owned.push_back(&p);
    } else {
      model.mapped_bytes_ += static_cast<int64_t>(bytes);
    }
  }
  std::stable_partition(owned.begin(), owned.end(),
                        [](const Parameter* p) { return is_optimized(p->name); });
  size_t size = 0;
  std::vector<size_t> offsets;
  for (const Parameter* p : owned) {
    offsets.push_back(size);
    ASSIGN_OR_RETURN(const size_t bytes, stored_bytes(p->weight));
    size += (bytes + kAlign - 1) / kAlign * kAlign;
    if (is_optimized(p->name)) model.optimized_size_ = static_cast<int64_t>(size / sizeof(float));
  }
  model.buffer_ = allocate_pages(size);
  if (model.buffer_ == nullptr) {
    return exhausted(
        fmt::format("no memory for weights of {} bytes; choose a smaller model", size));
  }
  model.buffer_size_ = size;
  for (size_t i = 0; i < owned.size(); ++i) {
    owned[i]->weight.data = model.buffer_.get() + offsets[i];
  }
  return {};
}

void ModelBuilder::keep(Model& model, std::shared_ptr<const void> file) {
  model.file_ = std::move(file);
}

void ModelBuilder::bind(Model& model) {
  const Config& c = *model.config_;
  model.dense_.assign(c.is_mla() ? 0 : static_cast<size_t>(c.num_hidden_layers), {});
  model.deepseek_.assign(c.is_mla() ? static_cast<size_t>(c.all_layers()) : 0, {});
  constexpr std::string_view kLayers = "model.layers.";
  for (const Parameter& p : model.parameters_) {
    if (p.name == "model.embed_tokens.weight") model.embed_tokens_ = p.weight;
    if (p.name == "model.norm.weight") model.norm_ = p.weight;
    if (p.name == "lm_head.weight") model.lm_head_ = p.weight;
    if (!p.name.starts_with(kLayers)) continue;
    const size_t dot = p.name.find('.', kLayers.size());
    const size_t index = std::stoul(p.name.substr(kLayers.size(), dot - kLayers.size()));
    const std::string_view name = std::string_view(p.name).substr(dot + 1);
    if (c.is_mla()) {
      bind_deepseek(model.deepseek_[index], name, p.weight, c);
    } else {
      bind_dense(model.dense_[index], name, p.weight);
    }
  }
  if (!c.nextn_shares_embeddings) return;
  for (int64_t i = c.num_hidden_layers; i < c.all_layers(); ++i) {
    DeepseekLayer& layer = model.deepseek_[static_cast<size_t>(i)];
    layer.embed_tokens = model.embed_tokens_;
    layer.shared_head = model.head();
  }
}

Status ModelBuilder::set_rope(Model& model, std::span<const float> divisors) {
  ASSIGN_OR_RETURN(RopeTable table, RopeTable::create(*model.config_, divisors));
  model.rope_ = std::make_unique<RopeTable>(std::move(table));
  model.rope_divisors_.assign(divisors.begin(), divisors.end());
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
  Config trainable = config;
  if (config.is_mla()) trainable.mla_absorb = config.mla_absorb.value_or(false);
  ASSIGN_OR_RETURN(Model model,
                   ModelBuilder::lay_out(trainable, [](const TensorSpec&) { return Placement{}; }));
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
  return forward_(cx, network(), batch);
}

Network Model::network() const {
  return {*config_, embed_tokens_, norm_, dense_, deepseek_, *rope_};
}

Tensor Model::predict_next(Ctx& cx, const Tensor& hidden, const Batch& batch, int64_t depth) const {
  PONDER_CHECK(0 <= depth && depth < config_->num_nextn_predict_layers);
  PONDER_CHECK(!batch.ids.empty() && batch.ids.size() == batch.positions.size() &&
               hidden.rows == static_cast<int64_t>(batch.ids.size()));
  return deepseek_predict_next(cx, network(), hidden, batch, depth);
}

Tensor Model::nextn_logits(Ctx& cx, const Tensor& hidden, int64_t depth) const {
  PONDER_CHECK(0 <= depth && depth < config_->num_nextn_predict_layers);
  const auto layer = static_cast<size_t>(config_->num_hidden_layers + depth);
  return linear(cx, hidden, deepseek_[layer].shared_head);
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

void Model::detach_gradients() {
  gradients_.reset();
  for (Parameter& p : parameters_) p.weight.grad = nullptr;
  ModelBuilder::bind(*this);
}

Result<Model> Model::copy() const {
  ASSIGN_OR_RETURN(Model out, create(*config_, 0));
  RETURN_IF_ERROR(ModelBuilder::set_rope(out, rope_divisors_));
  out.copy_weights(*this);
  return out;
}

void Model::copy_weights(const Model& other) {
  PONDER_CHECK(buffer_size_ == other.buffer_size_ &&
               parameters_.size() == other.parameters_.size());
  std::memcpy(buffer_.get(), other.buffer_.get(), buffer_size_);
}

std::string Model::weights_hash() const {
  Sha256 hash;
  for (const Parameter& p : parameters_) {
    const std::vector<std::byte> bytes = ModelBuilder::file_bytes(p.weight);
    hash.update(bytes.data(), bytes.size());
  }
  return hash.hex();
}

std::vector<float> Model::parameter_values(const Weight& w) const {
  if (w.dtype == DType::kF32) return values_of(w, w.f32());
  return parameter_rows(w, 0, w.rows);
}

std::vector<float> Model::parameter_rows(const Weight& w, int64_t begin, int64_t end) const {
  PONDER_CHECK(w.layout != Layout::kPlain && 0 <= begin && begin <= end && end <= w.rows);
  const int64_t first = begin / kPanelRows * kPanelRows;
  std::vector<std::byte> bytes(*bytes_for(row_dtype(w), (end - first) * w.cols));
  panels_to_rows(w, first, end, bytes.data());
  const Format& format = format_of(row_dtype(w));
  const int64_t skipped = (begin - first) * w.cols / format.block_values * format.block_bytes;
  std::vector<float> out(static_cast<size_t>((end - begin) * w.cols));
  format.decode(bytes.data() + skipped, out.data(), (end - begin) * w.cols);
  return out;
}

std::vector<float> Model::gradient_values(const Weight& w) const {
  PONDER_CHECK(w.grad != nullptr);
  return values_of(w, w.grad);
}

}  // namespace ponder
