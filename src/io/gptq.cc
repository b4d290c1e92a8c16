#include "io/gptq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "io/json.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kMaxSide = int64_t{1} << 24;  // outputs or inputs; no product of two overflows

Status wrong(const StoredTensor& tensor, const std::string& what) {
  return invalid(fmt::format("tensor {}: {}", in_quotes(tensor.name), what));
}

Result<const StoredTensor*> find(const TensorTable& tensors, const std::string& name, DType dtype,
                                 size_t dimensions) {
  ASSIGN_OR_RETURN(const StoredTensor* tensor, tensors.get(name));
  if (*tensor->dtype != dtype || tensor->shape.size() != dimensions) {
    return wrong(*tensor, fmt::format("{} {}, expected {} in {} dimension{}", tensor->type_name,
                                      tensor->shape_text(), format_of(dtype).name, dimensions,
                                      dimensions == 1 ? "" : "s"));
  }
  return tensor;
}

uint32_t word_at(const StoredTensor& tensor, int64_t i) {
  uint32_t word;
  std::memcpy(&word, tensor.bytes.data() + i * 4, sizeof word);
  return word;
}

Status read_shape(const StoredTensor& words, const Quantization& q, GptqMatrix& m) {
  m.bits = q.bits;
  m.rows = words.shape[1];
  const int64_t count = words.shape[0];
  if (m.rows < 1 || m.rows > kMaxSide || count < 1 || count > kMaxSide || count % q.bits != 0) {
    return wrong(words, fmt::format("shape {}, expected (inputs * {} / 32, outputs) with inputs a "
                                    "multiple of 32",
                                    words.shape_text(), q.bits));
  }
  if (m.rows * q.bits % 32 != 0) {
    return wrong(words,
                 fmt::format("{} outputs, expected a number whose zero points of {} bits fill "
                             "whole words",
                             m.rows, q.bits));
  }
  m.cols = count / q.bits * kGptqStep;
  m.group = q.group_size == -1 ? m.cols : q.group_size;
  m.groups = (m.cols + m.group - 1) / m.group;
  m.words = words.bytes.data();
  return {};
}

Status read_zeros(const StoredTensor& zeros, const Quantization& q, GptqMatrix& m) {
  const int64_t row_words = m.rows * q.bits / 32;
  if (zeros.shape[0] != m.groups || zeros.shape[1] != row_words) {
    return wrong(
        zeros, fmt::format("shape {}, expected ({}, {})", zeros.shape_text(), m.groups, row_words));
  }
  const uint32_t mask = (1u << q.bits) - 1u, add = q.zeros_less_one ? 1u : 0u;
  m.zeros.reserve(static_cast<size_t>(m.groups * m.rows));
  for (int64_t g = 0; g < m.groups; ++g) {
    for (int64_t r = 0; r < m.rows; ++r) {
      const int64_t bit = r * q.bits, word = g * row_words + bit / 32;
      uint64_t window = word_at(zeros, word);
      if (bit % 32 + q.bits > 32) window |= uint64_t{word_at(zeros, word + 1)} << 32;
      m.zeros.push_back(
          static_cast<uint8_t>((static_cast<uint32_t>(window >> (bit % 32)) + add) & mask));
    }
  }
  return {};
}

Status read_scales(const StoredTensor& scales, GptqMatrix& m) {
  if (scales.shape != std::vector<int64_t>{m.groups, m.rows}) {
    return wrong(scales,
                 fmt::format("shape {}, expected ({}, {})", scales.shape_text(), m.groups, m.rows));
  }
  m.scales.resize(static_cast<size_t>(m.groups * m.rows));
  RETURN_IF_ERROR(decode_tensor(scales, m.scales));
  for (const float scale : m.scales) {
    if (!std::isfinite(scale)) return wrong(scales, fmt::format("holds {}", scale));
  }
  return {};
}

// Every group has the length that the configuration says, whichever inputs are in it.
Status check_groups(const StoredTensor& table, const GptqMatrix& m) {
  std::vector<int64_t> lengths(static_cast<size_t>(m.groups), 0);
  for (const int32_t g : m.group_of) {
    if (g < 0 || g >= m.groups) {
      return wrong(table, fmt::format("holds {}, expected 0 to {}", g, m.groups - 1));
    }
    ++lengths[static_cast<size_t>(g)];
  }
  for (int64_t g = 0; g < m.groups; ++g) {
    const int64_t expected = std::min(m.group, m.cols - g * m.group);
    if (lengths[static_cast<size_t>(g)] == expected) continue;
    return wrong(table, fmt::format("{} inputs in group {}, expected {}",
                                    lengths[static_cast<size_t>(g)], g, expected));
  }
  return {};
}

Status read_groups(const TensorTable& tensors, const std::string& name, GptqMatrix& m) {
  m.group_of.resize(static_cast<size_t>(m.cols));
  if (tensors.find(name) == nullptr) {
    for (int64_t i = 0; i < m.cols; ++i) {
      m.group_of[static_cast<size_t>(i)] = static_cast<int32_t>(i / m.group);
    }
    return {};
  }
  ASSIGN_OR_RETURN(const StoredTensor* table, find(tensors, name, DType::kI32, 1));
  if (table->shape[0] != m.cols) {
    return wrong(*table, fmt::format("shape {}, expected ({})", table->shape_text(), m.cols));
  }
  std::memcpy(m.group_of.data(), table->bytes.data(), m.group_of.size() * sizeof(int32_t));
  return check_groups(*table, m);
}

}  // namespace

bool has_gptq(const TensorTable& tensors, const std::string& prefix) {
  return tensors.find(prefix + ".qweight") != nullptr;
}

Result<GptqMatrix> read_gptq(const TensorTable& tensors, const std::string& prefix,
                             const Quantization& quantization) {
  PONDER_CHECK(quantization.method == QuantMethod::kGptq);
  GptqMatrix m;
  ASSIGN_OR_RETURN(const StoredTensor* words, find(tensors, prefix + ".qweight", DType::kI32, 2));
  RETURN_IF_ERROR(read_shape(*words, quantization, m));
  ASSIGN_OR_RETURN(const StoredTensor* zeros, find(tensors, prefix + ".qzeros", DType::kI32, 2));
  RETURN_IF_ERROR(read_zeros(*zeros, quantization, m));
  ASSIGN_OR_RETURN(const StoredTensor* scales, tensors.get(prefix + ".scales"));
  RETURN_IF_ERROR(read_scales(*scales, m));
  RETURN_IF_ERROR(read_groups(tensors, prefix + ".g_idx", m));
  return m;
}

}  // namespace ponder
