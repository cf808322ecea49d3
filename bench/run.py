"""``python -m bench``"""
from __future__ import annotations
import os, sys, tempfile, json
from contextlib import ExitStack
from pathlib import Path
from bench import cases, house, processes
def main():
    processes.build()
    names=sys.argv[1].split(','); rounds=int(sys.argv[2]); secs=float(sys.argv[3]); peers=sys.argv[4].split(',') if len(sys.argv)>4 else []
    with ExitStack() as stack:
        folder=Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up=stack.enter_context(processes.upstream())
        T=[stack.enter_context(processes.peer(p,up.port,folder)) for p in peers if p]
        T.append(stack.enter_context(house.house(up.port,folder,database=os.environ.get('DB','sqlite'))))
        if os.environ.get('HOLD'):
            print('pid',T[-1].process.pid,T[-1].port,T[-1].token,'up',up.port,flush=True); sys.stdin.readline()
        for n in names:
            if n in ('idle','fair'):
                for t in T:
                    if n=='idle': print(t.name, cases.idle_mb(t,1000),flush=True)
                    else:
                        for k in (0,1,4): print(t.name, cases.fairness(t,k),flush=True)
                continue
            r=cases.interleaved([*( [up] if n.startswith('one') else []),*T],cases.CASES[n],rounds=rounds,seconds=secs)
            print(n,'load',os.getloadavg()[0],flush=True)
            for k,v in r.items(): print('  ',k,{a:round(b,1) for a,b in vars(v).items()},flush=True)
