import { describe, expect, it } from 'vitest';
import { attention } from '../lib/attention.js';
import { attentionOracle } from './attention-oracle.js';
import { generator, normal } from './cases.js';
it('smoke', () => {
  for (const [H, Hkv, M, N, D, Dv] of [[1,1,1,1,1,1],[4,2,3,37,16,16],[8,2,5,700,128,128],[6,2,4,1100,33,7]] as const) {
    const r = generator(H*N);
    const mk = (n: number) => Float32Array.from({length:n},()=>normal(r));
    const q = mk(H*M*D), k = mk(Hkv*N*D), v = mk(Hkv*N*Dv);
    for (const causal of [false,true]) for (const softcap of [undefined, 5]) {
    const { out, lse } = attention(q,k,v,{heads:H,kvHeads:Hkv,headDim:D,lse:true,causal, softcap});
    const rows = attentionOracle({heads:H,kvHeads:Hkv,queries:M,keys:[N],headDim:D,valueDim:Dv,causal, ...(softcap?{softcap}:{}),
      q:(b,h,m,d)=>q[(h*M+m)*D+d]!,k:(b,h,n,d)=>k[(h*N+n)*D+d]!,v:(b,h,n,d)=>v[(h*N+n)*Dv+d]!});
    let worst=0, wl=0;
    rows.forEach((row,i)=>{ row.out.forEach((x,d)=>worst=Math.max(worst,Math.abs(x-out[i*Dv+d]!)/row.most)); wl=Math.max(wl,Math.abs(row.lse-lse[i]!));});
    console.log(H,Hkv,M,N,D,Dv,causal,softcap,worst,wl);
    }
  }
});
