// Where guesses come from and what becomes of them; engine/step.cc checks them.
#include <algorithm>
#include <new>

#include "core/rng.h"
#include "engine/group.h"

namespace ponder {
namespace {

constexpr int64_t kMostForced = 64;  // forced tokens in one step

}  // namespace

// A sequence that will have a token drawn behind its newest one.
bool Engine::wants_draft(const Sequence& sequence) const {
  const Group& group = *sequence.group;
  return group.begun && !sequence.finished && !sequence.pages.empty() &&
         group.length(sequence.index) - sequence.done == 1;
}

// What is going to be forced is known; the rest is guessed.
void Engine::prepare_drafts() {
  std::vector<DraftWanted> wanted;
  for (const auto& group : active_) {
    const Request& request = group->request;
    for (Sequence& s : group->sequences) {
      s.drafts.clear();
      s.drafts_forced = false;
      const int32_t predicted = std::exchange(s.predicted, -1);
      if (!wants_draft(s)) continue;
      const std::vector<int32_t>& tokens = group->output.answers[s.index].tokens;
      // A token is drawn behind the last draft, too.
      const int64_t room = group->limit - static_cast<int64_t>(tokens.size()) - 1;
      if (s.steering != nullptr) {
        s.steering->tick(now_);
        const auto forced = s.steering->forced();
        const auto count =
            static_cast<size_t>(std::min({static_cast<int64_t>(forced.size()), room, kMostForced}));
        s.drafts.assign(forced.begin(), forced.begin() + static_cast<int64_t>(count));
        s.drafts_forced = !forced.empty();
      }
      if (s.drafts_forced || !request.speculate) continue;
      if (s.most_drafts == 0) s.most_drafts = options_.draft_tokens;
      const auto most = static_cast<size_t>(std::max<int64_t>(0, std::min(room, s.most_drafts)));
      switch (options_.speculation) {
        case Speculation::kNone:
          break;
        case Speculation::kLookup:
          s.drafts = lookup_draft(request.prompt, tokens, most);
          break;
        case Speculation::kDraftModel:
          if (most == 0) break;
          wanted.push_back({&s, request.prompt, tokens, &request.sampling,
                            request.key + request.first_sample + s.index, most, &s.drafts});
          break;
        case Speculation::kNextn:
          if (most > 0 && predicted >= 0) s.drafts = {predicted};
          break;
      }
    }
  }
  if (wanted.empty()) return;
  try {
    draft_model_->propose(wanted, options_.chunk);
  } catch (const std::bad_alloc&) {  // then without guesses
    for (const DraftWanted& w : wanted) {
      w.drafts->clear();
      draft_model_->forget(w.sequence);
    }
  }
  for (const DraftWanted& w : wanted) {  // its vocabulary may be padded further
    const auto strange = std::find_if(w.drafts->begin(), w.drafts->end(),
                                      [&](int32_t id) { return id >= model_.config().vocab_size; });
    w.drafts->erase(strange, w.drafts->end());
  }
}

// Counts what was right, and guesses less where little is.
void Engine::judge_drafts(const Work& work) {
  Sequence& s = *work.sequence;
  const auto drafted = static_cast<int64_t>(s.drafts.size());
  if (work.decode && drafted > 0 && !s.drafts_forced && work.kept > 0) {
    const int64_t accepted = work.kept - 1;
    stats_.drafted_tokens += drafted;
    stats_.accepted_tokens += accepted;
    s.most_drafts = accepted == drafted ? std::min(options_.draft_tokens, 2 * s.most_drafts)
                                        : std::max<int64_t>(1, (accepted + s.most_drafts) / 2);
  }
  s.drafts.clear();
}

// Lets the layer for the token after next read what this step has computed, and predict.
void Engine::predict_next() {
  if (residual_.data == nullptr) return;
  std::vector<int32_t> ids, positions, rows, last;
  std::vector<Segment> segments;
  std::vector<Sequence*> predicting;
  for (size_t i = 0; i < work_.size(); ++i) {
    Sequence& s = *work_[i].sequence;
    if (s.finished || s.pages.empty()) continue;
    const int64_t known = s.group->length(s.index);
    const int64_t count = std::min(work_[i].kept, known - 1 - work_[i].position);
    if (count <= 0) continue;
    Segment segment = segments_[i];
    segment.row = static_cast<int64_t>(ids.size());
    segment.rows = count;
    segment.pages = s.pages.data();
    segments.push_back(segment);
    for (int64_t r = 0; r < count; ++r) {
      rows.push_back(static_cast<int32_t>(segments_[i].row + r));
      ids.push_back(s.group->token(s.index, work_[i].position + r + 1));
      positions.push_back(static_cast<int32_t>(work_[i].position + r));
    }
    if (!wants_draft(s) || !s.group->request.speculate) continue;
    last.push_back(static_cast<int32_t>(ids.size()) - 1);
    predicting.push_back(&s);
  }
  if (ids.empty()) return;
  try {
    Ctx cx{pool_, arena_, scratch_};
    const Tensor hidden = model_.predict_next(cx, select_rows(cx, residual_, rows),
                                              {ids, positions, segments, &cache_});
    if (last.empty()) return;
    const Tensor logits = model_.nextn_logits(cx, select_rows(cx, hidden, last));
    for (size_t i = 0; i < predicting.size(); ++i) {
      Sequence& s = *predicting[i];
      const Request& request = s.group->request;
      const double u =
          uniform_at(request.sampling.seed, request.key + request.first_sample + s.index,
                     static_cast<uint64_t>(s.group->length(s.index)));
      const auto token = drawers_.front().draw.draw(
          {logits.row(static_cast<int64_t>(i)), static_cast<size_t>(logits.cols)}, request.sampling,
          request.prompt, s.group->output.answers[s.index].tokens, u);
      s.predicted = token.ok() ? *token : -1;
    }
  } catch (const std::bad_alloc&) {
    return;  // no guesses then
  }
}

}  // namespace ponder
