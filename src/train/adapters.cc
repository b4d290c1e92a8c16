#include "train/adapters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <string_view>

#include "core/rng.h"
#include "model/tensor_names.h"
#include "ops/panels.h"

namespace ponder {
namespace {

// Floats that a matrix takes in panels.
int64_t panel_floats(int64_t rows, int64_t cols) { return panel_count(rows) * kPanelRows * cols; }

// Whether the layer is one of those for the token after next, which no stage trains.
bool is_beyond(const Config& config, std::string_view name) {
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return false;
  int64_t layer = 0;
  std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return layer >= config.num_hidden_layers;
}

// What a matrix is that cannot be a target; empty: it can.
std::string_view other_than_linear(std::string_view name) {
  if (name.ends_with("embed_tokens")) return "the embedding";
  if (name.ends_with(".mlp.gate")) return "a router";
  if (name.find(".mlp.experts.") != std::string_view::npos) return "a routed expert";
  return "";
}

bool names(std::string_view target, std::string_view layer) {
  if (!layer.ends_with(target)) return false;
  return layer.size() == target.size() || layer[layer.size() - target.size() - 1] == '.';
}

// The last part of a dotted name.
std::string last_part(std::string_view name) {
  return std::string(name.substr(name.rfind('.') + 1));
}

// All matrices of the model that a stage trains, without ".weight".
std::vector<std::string> matrices_of(const Config& config) {
  Config trained = config;
  if (trained.is_mla()) trained.mla_absorb = false;
  std::vector<std::string> out;
  for (const TensorSpec& spec : expected_tensors(trained)) {
    constexpr std::string_view kWeight = ".weight";
    if (spec.shape.size() != 2 || is_beyond(config, spec.name)) continue;
    out.push_back(spec.name.substr(0, spec.name.size() - kWeight.size()));
  }
  return out;
}

Status unknown_target(const std::vector<std::string>& matrices, const std::string& target) {
  std::vector<std::string> words;
  for (const std::string& name : matrices) {
    std::string word = last_part(name);
    if (!other_than_linear(name).empty()) continue;
    if (std::find(words.begin(), words.end(), word) == words.end())
      words.push_back(std::move(word));
  }
  return invalid(fmt::format("expected targets among {}, or \"all\", got \"{}\"",
                             fmt::join(words, ", "), target));
}

}  // namespace

Result<std::vector<std::string>> lora_layers(const Config& config, const LoraSpec& spec) {
  const std::vector<std::string> matrices = matrices_of(config);
  std::set<std::string> chosen;
  for (const std::string& target : spec.targets) {
    const bool all = target == "all";
    bool found = false;
    for (const std::string& name : matrices) {
      if (all ? name == "lm_head" : !names(target, name)) continue;
      const std::string_view other = other_than_linear(name);
      if (other.empty()) {
        chosen.insert(name);
        found = true;
      } else if (!all) {
        return invalid(
            fmt::format("expected linear layers as targets, got \"{}\", which also names {}, {}; "
                        "name the layers "
                        "more closely (mlp.{} or shared_experts.{})",
                        target, name, other, last_part(target), last_part(target)));
      }
    }
    if (!found) return unknown_target(matrices, target);
  }
  return std::vector<std::string>(chosen.begin(), chosen.end());
}

Result<std::unique_ptr<Adapters>> Adapters::create(Model& model, const LoraSpec& spec,
                                                   uint64_t seed) {
  ASSIGN_OR_RETURN(const std::vector<std::string> chosen, lora_layers(model.config(), spec));
  std::unique_ptr<Adapters> out(new Adapters());
  std::vector<std::string> found;
  for (const Parameter& p : model.parameters()) {
    const std::string name = p.name.substr(0, p.name.rfind('.'));
    if (p.weight.layout != Layout::kPanels ||
        !std::binary_search(chosen.begin(), chosen.end(), name)) {
      continue;
    }
    PONDER_CHECK(p.weight.dtype == DType::kF32);
    out->layers_.push_back({p.weight, {}, nullptr});
    found.push_back(name);
  }
  PONDER_CHECK(found.size() == chosen.size());
  RETURN_IF_ERROR(out->allocate(spec));
  for (size_t i = 0; i < found.size(); ++i) {
    const Weight& a = out->layers_[i].factors.a;
    const float bound = 1.0f / std::sqrt(static_cast<float>(a.cols));
    Rng rng(seed, hash64("lora"), hash64(found[i]));
    std::vector<float> values(static_cast<size_t>(a.rows * a.cols));
    for (float& v : values) v = static_cast<float>(2 * rng.uniform() - 1) * bound;
    rows_to_panels(DType::kF32, values.data(), 0, a.rows, a.cols, a.data);
  }
  return out;
}

Status Adapters::allocate(const LoraSpec& spec) {
  int64_t base = 0;
  for (const Layer& layer : layers_) {
    base += panel_floats(layer.matrix.rows, layer.matrix.cols);
    size_ +=
        panel_floats(spec.rank, layer.matrix.cols) + panel_floats(layer.matrix.rows, spec.rank);
  }
  const auto bytes = [](int64_t count) { return static_cast<size_t>(count) * sizeof(float); };
  base_ = allocate_pages(bytes(base));
  weights_ = allocate_pages(bytes(size_));
  gradients_ = allocate_pages(bytes(size_));
  if (base_ == nullptr || weights_ == nullptr || gradients_ == nullptr) {
    return exhausted(fmt::format("no memory for the {} bytes of lora's layers; name fewer targets",
                                 bytes(base + 2 * size_)));
  }
  const auto scale = static_cast<float>(spec.alpha / static_cast<double>(spec.rank));
  float* at = weights().data();
  float* kept = floats(base_, base).data();
  const auto take = [&](int64_t rows, int64_t cols) {
    Weight w;
    w.data = at;
    w.grad = gradients().data() + (at - weights().data());
    w.rows = rows;
    w.cols = cols;
    w.layout = Layout::kPanels;
    at += panel_floats(rows, cols);
    return w;
  };
  for (Layer& layer : layers_) {
    const Weight& w = layer.matrix;
    layer.factors = {take(spec.rank, w.cols), take(w.rows, spec.rank), scale};
    const int64_t size = panel_floats(w.rows, w.cols);
    std::copy_n(w.f32(), size, kept);
    layer.base = kept;
    kept += size;
    table_.factors[w.data] = layer.factors;
  }
  return {};
}

void Adapters::merge(ThreadPool& pool) {
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  for (const Layer& layer : layers_) merge_low_rank(cx, layer.factors, layer.base, layer.matrix);
}

}  // namespace ponder
