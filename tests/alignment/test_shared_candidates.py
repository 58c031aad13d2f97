"""Candidates refined here and there give what one process gives."""

from functools import lru_cache

import torch
from thread_ranks import on_ranks

from torchsag.alignment.aligner import AlignmentResult
from torchsag.alignment.sag import SAGAligner
from torchsag.alignment.shared_candidates import CandidateAligner, SharedCandidates
from torchsag.geometry import Symmetry
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

CPU = torch.device("cpu")


@lru_cache
def prepared():
    reference = density_of(ribosome_phantom(), 24, 16.0)
    particles, _ = simulate_particles(reference, 2, 0.3, max_shift=1.0)
    search = RotationalMatching(degree=8, num_candidates=7, separation_deg=20.0)
    method = SAGAligner(search=search, resolution_angstrom=48.0, max_candidates=7, max_passes=8.0)
    return method.prepare(reference, Symmetry("C1")), particles


def test_shared_candidates_give_the_poses_of_one_process():
    method, particles = prepared()
    assert isinstance(method, CandidateAligner)
    alone = method(particles)

    def work(workers):
        shared = SharedCandidates(method, workers, CPU)
        if not workers.is_root:
            return shared.serve()
        found = [shared(particles), shared(particles[:1])]
        shared.dismiss()
        return found

    both, first = on_ranks(3, work)[0]
    for name in ("scores", "converged", "passes", "covariances"):
        torch.testing.assert_close(getattr(both, name), getattr(alone, name), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both.poses.rotations, alone.poses.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(both.poses.shifts, alone.poses.shifts, atol=1e-5, rtol=0)
    torch.testing.assert_close(first.poses.shifts, alone.poses.shifts[:1], atol=1e-5, rtol=0)
    assert isinstance(first, AlignmentResult)


def test_every_candidate_is_refined_once_and_each_rank_has_its_share():
    method, particles = prepared()
    seen = []

    class Counting:
        def candidates(self, particles):
            return method.candidates(particles)

        def refinement(self, particles):
            inner = method.refinement(particles)

            class Refinement:
                choose = staticmethod(inner.choose)

                def refine(self, found):
                    seen.append(found.scores.shape[1])
                    return inner.refine(found)

            return Refinement()

    def work(workers):
        shared = SharedCandidates(Counting(), workers, CPU)
        return (shared(particles), shared.dismiss()) if workers.is_root else shared.serve()

    on_ranks(2, work)
    assert sorted(seen) == [3, 4]
