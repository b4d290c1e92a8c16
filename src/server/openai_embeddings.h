#pragma once

#include "server/dialect.h"

namespace ponder {

// POST /v1/embeddings
void embeddings(Call call);

}  // namespace ponder
