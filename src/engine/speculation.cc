#include "engine/speculation.h"

#include <algorithm>

#include "core/rng.h"

namespace ponder {
namespace {

constexpr size_t kLeastMatch = 2, kMostMatch = 8;

// The prompt and what has been generated as one sequence.
struct History {
  std::span<const int32_t> prompt, generated;
  size_t size() const { return prompt.size() + generated.size(); }
  int32_t operator[](size_t i) const {
    return i < prompt.size() ? prompt[i] : generated[i - prompt.size()];
  }
};

}  // namespace

std::vector<int32_t> lookup_draft(std::span<const int32_t> prompt,
                                  std::span<const int32_t> generated, size_t most) {
  const History all{prompt, generated};
  const size_t length = all.size();
  std::vector<int32_t> out;
  if (most == 0 || length <= kLeastMatch) return out;
  const int32_t last = all[length - 1];
  size_t best = kLeastMatch - 1, from = 0;
  for (size_t end = length - 1; end-- > 0 && best < kMostMatch;) {  // `end`: the match's last token
    if (all[end] != last) continue;
    size_t match = 1;
    while (match < kMostMatch && match <= end && all[end - match] == all[length - 1 - match]) {
      ++match;
    }
    if (match > best) {
      best = match;
      from = end + 1;
    }
  }
  for (size_t i = from; from > 0 && i < length && out.size() < most; ++i) out.push_back(all[i]);
  return out;
}

DraftModel::DraftModel(const Model& model, ThreadPool& pool, KvCache cache)
    : model_(model), pool_(pool), cache_(std::move(cache)), table_(cache_.pages()) {}

Result<std::unique_ptr<DraftModel>> DraftModel::create(const Model& model, ThreadPool& pool,
                                                       int64_t pages, DType kv_type) {
  ASSIGN_OR_RETURN(KvCache cache, KvCache::create(kv_shape(model.config(), kv_type), pages));
  return std::unique_ptr<DraftModel>(new DraftModel(model, pool, std::move(cache)));
}

// A sequence being guessed at.
struct DraftModel::Job {
  const DraftWanted* wanted;
  Known* known;
  std::vector<int32_t> feed;     // tokens to read next
  std::vector<int32_t> history;  // generated, guesses included
  bool draws;                    // behind `feed` stands a guess
};

// False if the sequence cannot be served now.
bool DraftModel::prepare(const DraftWanted& w, int64_t chunk, Job& job) {
  const History all{w.prompt, w.generated};
  const Config& config = model_.config();
  if (w.most == 0 || chunk == 0 ||
      all.size() + w.most > static_cast<size_t>(config.max_position_embeddings)) {
    return false;
  }
  Known& known = known_.try_emplace(w.sequence, Known{PageList(table_), {}}).first->second;
  size_t same = 0;  // at least the newest token is read again: a guess stands behind it
  while (same < known.tokens.size() && same + 1 < all.size() && known.tokens[same] == all[same]) {
    ++same;
  }
  known.tokens.resize(same);
  const size_t rows = std::min(all.size() - same, static_cast<size_t>(chunk));
  for (size_t i = same; i < same + rows; ++i) {
    if (all[i] >= config.vocab_size) return false;
    job.feed.push_back(all[i]);
  }
  job.wanted = &w;
  job.known = &known;
  job.draws = same + rows == all.size();
  if (job.draws) job.history.assign(w.generated.begin(), w.generated.end());
  const size_t guesses = job.draws ? w.most - 1 : 0;
  if (known.pages.reserve(static_cast<int64_t>(same + rows + guesses))) return true;
  forget(w.sequence);
  return false;
}

// Reads what the jobs feed and guesses behind it.
void DraftModel::read(std::span<Job* const> jobs) {
  std::vector<int32_t> ids, positions, last;
  std::vector<Segment> segments;
  for (Job* job : jobs) {
    Segment s;
    s.row = static_cast<int64_t>(ids.size());
    s.rows = static_cast<int64_t>(job->feed.size());
    s.position = static_cast<int64_t>(job->known->tokens.size());
    s.pages = job->known->pages.data();
    segments.push_back(s);
    for (const int32_t id : job->feed) {
      positions.push_back(static_cast<int32_t>(job->known->tokens.size()));
      job->known->tokens.push_back(id);
      ids.push_back(id);
    }
    last.push_back(static_cast<int32_t>(ids.size()) - 1);
    job->feed.clear();
  }
  arena_.reset();
  Ctx cx{pool_, arena_, scratch_};
  const Tensor hidden = model_.forward(cx, {ids, positions, segments, &cache_});
  const Tensor logits = model_.logits(cx, select_rows(cx, hidden, last));
  for (size_t i = 0; i < jobs.size(); ++i) {
    Job& job = *jobs[i];
    if (!job.draws) continue;
    const DraftWanted& w = *job.wanted;
    const double u = uniform_at(w.sampling->seed, w.key, job.known->tokens.size());
    const auto guess =
        draw_.draw({logits.row(static_cast<int64_t>(i)), static_cast<size_t>(logits.cols)},
                   *w.sampling, w.prompt, job.history, u);
    job.draws = guess.ok();
    if (!guess.ok()) continue;
    job.history.push_back(*guess);
    job.feed.push_back(*guess);
    w.drafts->push_back(*guess);
    job.draws = w.drafts->size() < w.most;
  }
}

void DraftModel::propose(std::span<const DraftWanted> wanted, int64_t chunk) {
  std::vector<Job> jobs;
  jobs.reserve(wanted.size());
  for (const DraftWanted& w : wanted) {
    Job job{};
    if (!prepare(w, chunk, job)) continue;
    chunk -= static_cast<int64_t>(job.feed.size());
    jobs.push_back(std::move(job));
  }
  std::vector<Job*> reading;
  for (Job& job : jobs) reading.push_back(&job);
  while (!reading.empty()) {
    read(reading);
    std::erase_if(reading, [](const Job* job) { return !job->draws; });
  }
}

}  // namespace ponder
