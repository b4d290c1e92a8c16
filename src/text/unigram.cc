#include "text/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "core/status.h"
#include "text/utf8.h"

namespace ponder {
namespace {

constexpr int32_t kNone = -1, kUnknown = -2;

uint64_t scramble(uint64_t key) { return (key ^ (key >> 29)) * 0x9E3779B97F4A7C15u; }

}  // namespace

Unigram::Unigram(const std::vector<std::string>& tokens, const std::vector<double>& scores,
                 const UnigramOptions& options)
    : options_(options), scores_(scores) {
  PONDER_CHECK(tokens.size() == scores.size(), "a score for each token");
  bytes_.fill(-1);
  rehash(1 << 12);
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].empty()) continue;
    lowest = std::min(lowest, scores[id]);
    insert(tokens[id], static_cast<int32_t>(id));
  }
  unknown_score_ = (tokens.empty() || lowest > 1e300 ? 0.0 : lowest) - options.unknown_penalty;
  for (size_t byte = 0; byte < 256 && options.byte_fallback; ++byte) {
    const std::string name = fmt::format("<0x{:02X}>", byte);
    const auto at = std::find(tokens.rbegin(), tokens.rend(), name);
    if (at != tokens.rend()) bytes_[byte] = static_cast<int32_t>(tokens.rend() - at) - 1;
  }
}

uint32_t Unigram::child(uint32_t node, unsigned char byte) const {
  const uint64_t key = (uint64_t{node} << 8) | byte;
  const size_t mask = edges_.size() - 1;
  for (size_t slot = scramble(key) & mask;; slot = (slot + 1) & mask) {
    if (edges_[slot].key == key) return edges_[slot].node;
    if (edges_[slot].key == kFree) return 0;
  }
}

void Unigram::rehash(size_t size) {
  std::vector<Edge> old(size, {kFree, 0});
  std::swap(old, edges_);
  for (const Edge& edge : old) {
    if (edge.key == kFree) continue;
    size_t slot = scramble(edge.key) & (size - 1);
    while (edges_[slot].key != kFree) slot = (slot + 1) & (size - 1);
    edges_[slot] = edge;
  }
}

void Unigram::insert(std::string_view token, int32_t id) {
  uint32_t node = 0;
  for (const char c : token) {
    const auto byte = static_cast<unsigned char>(c);
    uint32_t next = child(node, byte);
    if (next == 0) {
      if (2 * ++edge_count_ > edges_.size()) rehash(2 * edges_.size());
      next = static_cast<uint32_t>(ends_.size());
      ends_.push_back(kNone);
      const uint64_t key = (uint64_t{node} << 8) | byte;
      size_t slot = scramble(key) & (edges_.size() - 1);
      while (edges_[slot].key != kFree) slot = (slot + 1) & (edges_.size() - 1);
      edges_[slot] = {key, next};
    }
    node = next;
  }
  ends_[node] = id;
}

void Unigram::put_unknown(std::string_view text, std::vector<int32_t>& out) const {
  const auto id_of = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
  if (options_.byte_fallback &&
      std::all_of(text.begin(), text.end(), [&](char c) { return id_of(c) >= 0; })) {
    for (const char c : text) out.push_back(id_of(c));
  } else if (options_.unknown >= 0) {
    out.push_back(options_.unknown);
  }
}

void Unigram::encode(std::string_view piece, UnigramSpace& space, std::vector<int32_t>& out) const {
  PONDER_CHECK(piece.size() < (size_t{1} << 30), "a piece of text of 1 GiB");
  auto& best = space.best;
  best.assign(piece.size() + 1, {0.0, 0, kNone});
  const auto offer = [&](size_t start, size_t end, double score, int32_t id) {
    auto& now = best[end];
    const double sum = best[start].score + score;
    if (now.id == kNone || sum > now.score) now = {sum, static_cast<uint32_t>(start), id};
  };
  for (size_t at = 0; at < piece.size();) {
    const size_t after = at + utf8_at(piece, at).size;
    bool single = false;  // the character by itself is a token
    uint32_t node = 0;
    for (size_t end = at; end < piece.size();) {
      node = child(node, static_cast<unsigned char>(piece[end]));
      if (node == 0) break;
      const int32_t id = ends_[node];
      ++end;
      if (id == kNone) continue;
      offer(at, end, scores_[static_cast<size_t>(id)], id);
      single = single || end == after;
    }
    if (!single) offer(at, after, unknown_score_, kUnknown);
    at = after;
  }
  space.ends.clear();
  for (auto end = static_cast<uint32_t>(piece.size()); end > 0; end = best[end].start) {
    space.ends.push_back(end);
  }
  for (size_t i = space.ends.size(); i-- > 0;) {
    const auto& last = best[space.ends[i]];
    if (last.id != kUnknown) {
      out.push_back(last.id);
      continue;
    }
    while (i > 0 && best[space.ends[i - 1]].id == kUnknown) --i;  // several in a row are one
    put_unknown(piece.substr(last.start, space.ends[i] - last.start), out);
  }
}

}  // namespace ponder
