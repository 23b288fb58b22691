/* Made by make vendor; not written by hand.

preact 11.2.0, MIT

The MIT License (MIT)

Copyright (c) 2015-present Jason Miller

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.

htm 3.1.1, Apache-2.0

Apache License
                           Version 2.0, January 2004
                        http://www.apache.org/licenses/

   TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION

   1. Definitions.

      "License" shall mean the terms and conditions for use, reproduction,
      and distribution as defined by Sections 1 through 9 of this document.

      "Licensor" shall mean the copyright owner or entity authorized by
      the copyright owner that is granting the License.

      "Legal Entity" shall mean the union of the acting entity and all
      other entities that control, are controlled by, or are under common
      control with that entity. For the purposes of this definition,
      "control" means (i) the power, direct or indirect, to cause the
      direction or management of such entity, whether by contract or
      otherwise, or (ii) ownership of fifty percent (50%) or more of the
      outstanding shares, or (iii) beneficial ownership of such entity.

      "You" (or "Your") shall mean an individual or Legal Entity
      exercising permissions granted by this License.

      "Source" form shall mean the preferred form for making modifications,
      including but not limited to software source code, documentation
      source, and configuration files.

      "Object" form shall mean any form resulting from mechanical
      transformation or translation of a Source form, including but
      not limited to compiled object code, generated documentation,
      and conversions to other media types.

      "Work" shall mean the work of authorship, whether in Source or
      Object form, made available under the License, as indicated by a
      copyright notice that is included in or attached to the work
      (an example is provided in the Appendix below).

      "Derivative Works" shall mean any work, whether in Source or Object
      form, that is based on (or derived from) the Work and for which the
      editorial revisions, annotations, elaborations, or other modifications
      represent, as a whole, an original work of authorship. For the purposes
      of this License, Derivative Works shall not include works that remain
      separable from, or merely link (or bind by name) to the interfaces of,
      the Work and Derivative Works thereof.

      "Contribution" shall mean any work of authorship, including
      the original version of the Work and any modifications or additions
      to that Work or Derivative Works thereof, that is intentionally
      submitted to Licensor for inclusion in the Work by the copyright owner
      or by an individual or Legal Entity authorized to submit on behalf of
      the copyright owner. For the purposes of this definition, "submitted"
      means any form of electronic, verbal, or written communication sent
      to the Licensor or its representatives, including but not limited to
      communication on electronic mailing lists, source code control systems,
      and issue tracking systems that are managed by, or on behalf of, the
      Licensor for the purpose of discussing and improving the Work, but
      excluding communication that is conspicuously marked or otherwise
      designated in writing by the copyright owner as "Not a Contribution."

      "Contributor" shall mean Licensor and any individual or Legal Entity
      on behalf of whom a Contribution has been received by Licensor and
      subsequently incorporated within the Work.

   2. Grant of Copyright License. Subject to the terms and conditions of
      this License, each Contributor hereby grants to You a perpetual,
      worldwide, non-exclusive, no-charge, royalty-free, irrevocable
      copyright license to reproduce, prepare Derivative Works of,
      publicly display, publicly perform, sublicense, and distribute the
      Work and such Derivative Works in Source or Object form.

   3. Grant of Patent License. Subject to the terms and conditions of
      this License, each Contributor hereby grants to You a perpetual,
      worldwide, non-exclusive, no-charge, royalty-free, irrevocable
      (except as stated in this section) patent license to make, have made,
      use, offer to sell, sell, import, and otherwise transfer the Work,
      where such license applies only to those patent claims licensable
      by such Contributor that are necessarily infringed by their
      Contribution(s) alone or by combination of their Contribution(s)
      with the Work to which such Contribution(s) was submitted. If You
      institute patent litigation against any entity (including a
      cross-claim or counterclaim in a lawsuit) alleging that the Work
      or a Contribution incorporated within the Work constitutes direct
      or contributory patent infringement, then any patent licenses
      granted to You under this License for that Work shall terminate
      as of the date such litigation is filed.

   4. Redistribution. You may reproduce and distribute copies of the
      Work or Derivative Works thereof in any medium, with or without
      modifications, and in Source or Object form, provided that You
      meet the following conditions:

      (a) You must give any other recipients of the Work or
          Derivative Works a copy of this License; and

      (b) You must cause any modified files to carry prominent notices
          stating that You changed the files; and

      (c) You must retain, in the Source form of any Derivative Works
          that You distribute, all copyright, patent, trademark, and
          attribution notices from the Source form of the Work,
          excluding those notices that do not pertain to any part of
          the Derivative Works; and

      (d) If the Work includes a "NOTICE" text file as part of its
          distribution, then any Derivative Works that You distribute must
          include a readable copy of the attribution notices contained
          within such NOTICE file, excluding those notices that do not
          pertain to any part of the Derivative Works, in at least one
          of the following places: within a NOTICE text file distributed
          as part of the Derivative Works; within the Source form or
          documentation, if provided along with the Derivative Works; or,
          within a display generated by the Derivative Works, if and
          wherever such third-party notices normally appear. The contents
          of the NOTICE file are for informational purposes only and
          do not modify the License. You may add Your own attribution
          notices within Derivative Works that You distribute, alongside
          or as an addendum to the NOTICE text from the Work, provided
          that such additional attribution notices cannot be construed
          as modifying the License.

      You may add Your own copyright statement to Your modifications and
      may provide additional or different license terms and conditions
      for use, reproduction, or distribution of Your modifications, or
      for any such Derivative Works as a whole, provided Your use,
      reproduction, and distribution of the Work otherwise complies with
      the conditions stated in this License.

   5. Submission of Contributions. Unless You explicitly state otherwise,
      any Contribution intentionally submitted for inclusion in the Work
      by You to the Licensor shall be under the terms and conditions of
      this License, without any additional terms or conditions.
      Notwithstanding the above, nothing herein shall supersede or modify
      the terms of any separate license agreement you may have executed
      with Licensor regarding such Contributions.

   6. Trademarks. This License does not grant permission to use the trade
      names, trademarks, service marks, or product names of the Licensor,
      except as required for reasonable and customary use in describing the
      origin of the Work and reproducing the content of the NOTICE file.

   7. Disclaimer of Warranty. Unless required by applicable law or
      agreed to in writing, Licensor provides the Work (and each
      Contributor provides its Contributions) on an "AS IS" BASIS,
      WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or
      implied, including, without limitation, any warranties or conditions
      of TITLE, NON-INFRINGEMENT, MERCHANTABILITY, or FITNESS FOR A
      PARTICULAR PURPOSE. You are solely responsible for determining the
      appropriateness of using or redistributing the Work and assume any
      risks associated with Your exercise of permissions under this License.

   8. Limitation of Liability. In no event and under no legal theory,
      whether in tort (including negligence), contract, or otherwise,
      unless required by applicable law (such as deliberate and grossly
      negligent acts) or agreed to in writing, shall any Contributor be
      liable to You for damages, including any direct, indirect, special,
      incidental, or consequential damages of any character arising as a
      result of this License or out of the use or inability to use the
      Work (including but not limited to damages for loss of goodwill,
      work stoppage, computer failure or malfunction, or any and all
      other commercial damages or losses), even if such Contributor
      has been advised of the possibility of such damages.

   9. Accepting Warranty or Additional Liability. While redistributing
      the Work or Derivative Works thereof, You may choose to offer,
      and charge a fee for, acceptance of support, warranty, indemnity,
      or other liability obligations and/or rights consistent with this
      License. However, in accepting such obligations, You may act only
      on Your own behalf and on Your sole responsibility, not on behalf
      of any other Contributor, and only if You agree to indemnify,
      defend, and hold each Contributor harmless for any liability
      incurred by, or claims asserted against, such Contributor by reason
      of your accepting any such warranty or additional liability.

   END OF TERMS AND CONDITIONS

   APPENDIX: How to apply the Apache License to your work.

      To apply the Apache License to your work, attach the following
      boilerplate notice, with the fields enclosed by brackets "[]"
      replaced with your own identifying information. (Don't include
      the brackets!)  The text should be enclosed in the appropriate
      comment syntax for the file format. We also recommend that a
      file or class name and description of purpose be included on the
      same "printed page" as the copyright notice for easier
      identification within third-party archives.

   Copyright 2018 Google Inc.

   Licensed under the Apache License, Version 2.0 (the "License");
   you may not use this file except in compliance with the License.
   You may obtain a copy of the License at

       http://www.apache.org/licenses/LICENSE-2.0

   Unless required by applicable law or agreed to in writing, software
   distributed under the License is distributed on an "AS IS" BASIS,
   WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
   See the License for the specific language governing permissions and
   limitations under the License.

graphql-ws 6.4.2, MIT

MIT License

Copyright (c) 2020 Denis Badurina

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
*/
var S,Oe,st,z,ye,fe,Ie,ae,We,me,he,at,te=Symbol.for("pv"),pe={},le=[],ct=/^m(i|n|o|s|text|space)$/,ge=Array.isArray,be=le.slice,K=Object.assign;function J(e){e&&e.parentNode&&e.remove()}function ut(e,t,n){var r,a,o,i={},s=arguments.length;for(o in t)o=="key"?r=t[o]:o=="ref"&&typeof e!="function"?a=t[o]:i[o]=t[o];return s>2&&(i.children=s>3?be.call(arguments,2):n),ee(e,i,r,a,null)}function ee(e,t,n,r,a){var o={type:e,props:t,key:n,ref:r,__k:null,__:null,__b:0,__e:null,__c:null,constructor:te,__v:a||++Oe,__i:-1,__u:0};return!a&&S.vnode&&S.vnode(o),o}function ne(e){return e.children}function ce(e,t){this.props=e,this.context=t,this.__g=0}function G(e,t){if(t==null)return e.__&&G(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!="function"||e.props.__P?null:G(e)}function ft(e){var t,n=e.__v,r=n.__e,a=[],o=[],i=e.__P;i&&((t=K({constructor:te},n)).__v=n.__v+1,S.vnode&&S.vnode(t),we(i,t,n,e.__n,i.namespaceURI,32&n.__u?[r]:null,a,r||G(n),32&n.__u,o),t.__v=n.__v,t.__.__k[t.__i]=t,Fe(a,t,o),n.__=n.__e=null,t.__e!=r&&De(t))}function De(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){return t&&(e.__e=t.__e)}),De(e)}function Ce(e){(8&e.__g||(e.__g|=8,z.push(e),fe++))&&ye==S.debounceRendering||((ye=S.debounceRendering)||queueMicrotask)(He)}function He(){try{for(var e,t=1;z.length;)z.length>t&&z.sort(Ie),e=z.shift(),t=z.length,8&e.__g&&ft(e)}finally{(fe=z.length)&&(ye||queueMicrotask)(He)}}function Le(e,t,n,r,a,o,i,s,f,m,c){var b,u,_,d,P,w,x=r.__k||le,l=t.length;for(f=pt(n,t,x,f,l),b=0;b<l;b++)(_=n.__k[b])!=null&&(u=~_.__i&&x[_.__i]||pe,_.__i=b,w=we(e,_,u,a,o,i,s,f,m,c),d=_.__e,(u.ref!=_.ref||8&u.__u)&&(u.ref&&xe(u.ref,null,_,u),_.ref&&c.push(_.ref,_.__c||d,_)),P=P||d,4&_.__u?(f=qe(_,f,e,!u.__v),u.__e&&(u.__e=null)):typeof _.type=="function"&&w!==void 0?f=w:d&&(f=d.nextSibling),_.__u&=-21);return n.__e=P,f}function pt(e,t,n,r,a){var o,i,s,f,m,c,b,u,_,d=n.length,P=d,w=0,x=0,l=e.__k=Array(a);for(o=0;o<a;o++)(i=t[o])!=null&&typeof i!="boolean"&&typeof i!="function"?(typeof i!="object"||i.constructor===String?i=l[o]=ee(null,i):ge(i)?i=l[o]=ee(ne,{children:i}):i.constructor===te&&i.__b?i=l[o]=ee(i.type,i.props,i.key,i.ref,i.__v):l[o]=i,f=o+w,i.__=e,i.__b=e.__b+1,s=null,~(m=i.__i=lt(i,n,f,P))&&(P--,(s=n[m])&&(s.__u|=2)),s&&s.__v?(i.__u|=16,m==f-1?w--:m==f+1?w++:m!=f&&(m>f?w--:w++,x=1)):(~m||(a>d?w--:a<d&&w++),typeof i.type!="function"&&(i.__u|=4))):l[o]=null;if(x){for(c=[],b=[],o=0;o<a;o++)if((i=l[o])&&16&i.__u){for(w=0,u=c.length;w<u;)c[_=w+u>>1]<i.__i?w=_+1:u=_;c[w]=i.__i,b[o]=w+1}for(w=c.length;o--;)b[o]&&(b[o]==w?w--:l[o].__u|=4)}if(P)for(o=0;o<d;o++)!(s=n[o])||2&s.__u||(s.__e==r&&(r=G(s)),ke(s,s));return r}function qe(e,t,n,r){var a,o,i,s;if(typeof e.type=="function"){if(e.props.__P)return t;if(a=e.__k)for(o=0;o<a.length;o++)a[o]&&(a[o].__=e,t=qe(a[o],t,n,!1));return t}for(t&&!t.parentNode&&(t=G(e))&&!t.parentNode&&(t=null),i=e.__e,s=t;s&&s.nodeType==8;)s=s.nextSibling;for(i!=s&&(!r&&n.moveBefore&&i.parentNode?n.moveBefore(i,t):n.insertBefore(i,t||null)),t=i;(t=t&&t.nextSibling)&&t.nodeType==8&&!t.data.startsWith("$s"););return t}function lt(e,t,n,r){var a,o=e.key,i=e.type,s=t[n],f=s&&!(2&s.__u);if(s===null&&o==null||f&&o==s.key&&i==s.type)return n;if(r>(f?1:0)){for(a=n-1;a>=0;a--)if((s=t[a])&&!(2&s.__u)&&o==s.key&&i==s.type)return a;for(a=n+1;a<t.length;a++)if((s=t[a])&&!(2&s.__u)&&o==s.key&&i==s.type)return a}return-1}function Me(e,t,n){n==null&&(n=""),t[0]=="-"?e.setProperty(t,n):e[t]=n}function se(e,t,n,r,a){var o,i;if(t=="style")if(typeof n=="string")e.style.cssText=n;else{if(typeof r=="string"&&(e.style.cssText=r=""),r)for(t in r)n&&t in n||Me(e.style,t);if(n)for(t in n)r&&n[t]==r[t]||Me(e.style,t,n[t])}else if(t[0]=="o"&&t[1]=="n")typeof n!="function"&&(n=null),typeof r!="function"&&(r=null),(e.__e||(e.__e={}))[t]=n,n&&r||(i=he[t]||(he[t]=dt(t)),(e.__a||(e.__a={}))[t]=me,o=t!=(t=t.replace(We,"$1")),(t=t.slice(2))[0]<"a"&&(t=t.toLowerCase()),n?e.addEventListener(t,i,o):e.removeEventListener(t,i,o));else{if(a=="http://www.w3.org/2000/svg")t=t.replace(/xlink(H|:h)/,"h").replace(/sName$/,"s");else if(t!="width"&&t!="height"&&t!="href"&&t!="list"&&t!="form"&&t!="tabIndex"&&t!="download"&&t!="rowSpan"&&t!="colSpan"&&t!="role"&&t!="popover"&&t in e)try{return void(e[t]=n??"")}catch{}if(typeof n=="function")return;n==null||n===!1&&t[4]!="-"?e.removeAttribute(t):e.setAttribute(t,t=="popover"&&n==1?"":n)}}function dt(e){return function(t){var n=this.__e;if(n){if(n=n[e],t[ae]==null)t[ae]=me++;else if(t[ae]<this.__a[e])return;return n(S.event?S.event(t):t)}}}function we(e,t,n,r,a,o,i,s,f,m){var c,b,u,_,d,P,w,x,l,y,v,L,q,B,I,Q,U,F,H=t.type;if(t.constructor!==te)return null;128&n.__u&&(f=32&n.__u,c=n.__c.__z)&&(t.__u|=f,b=o=[],c.nodeType==8?s=ue(c,o):o.push(c),s=o[0]||s),(c=S.__b)&&c(t);e:if(typeof H=="function"){u=i.length;try{if(x=t.props,l=(c=H.prototype)&&c.render,y=(c=H.contextType)&&r[c.__c],v=c?y?y.props.value:c.__:r,(_=n.__c)?(t.__c=_,2&_.__g&&(_.__g|=1)):(l?t.__c=_=new H(x,v):(t.__c=_=new ce(x,v),_.constructor=H,_.render=ht),y&&y.sub(_),_.state||(_.state={}),_.__n=r,_.__g|=8,_.__h=[],_.__k=[]),l&&(_.__s||(_.__s=_.state),H.getDerivedStateFromProps&&(_.__s==_.state&&(_.__s=K({},_.__s)),K(_.__s,H.getDerivedStateFromProps(x,_.__s)))),d=_.props,P=_.state,_.__v=t,n.__c){if(x!==d&&l&&!H.getDerivedStateFromProps&&_.componentWillReceiveProps&&_.componentWillReceiveProps(x,v),t.__v==n.__v&&!(8&_.__g)||!(4&_.__g)&&_.shouldComponentUpdate&&_.shouldComponentUpdate(x,_.__s,v)===!1){t.__v!=n.__v&&(_.props=x,_.state=_.__s,_.__g&=-9),t.__e=n.__e,t.__k=n.__k,t.__k.some(function(M){M&&(M.__=t)}),le.push.apply(_.__h,_.__k),_.__k=[],_.__h.length&&i.push(_),s=G(n);break e}_.componentWillUpdate&&_.componentWillUpdate(x,_.__s,v),l&&_.componentDidUpdate&&_.__h.push(function(){_.componentDidUpdate(d,P,w)})}else l&&!H.getDerivedStateFromProps&&_.componentWillMount&&_.componentWillMount(),l&&_.componentDidMount&&_.__h.push(_.componentDidMount);_.context=v,_.props=x,_.__P=e,_.__g&=-5,L=S.__r,q=l?25:0;do _.__g&=-9,L&&L(t),c=_.render(_.props,_.state=_.__s,_.context);while(8&_.__g&&++q<25);l&&(le.push.apply(_.__h,_.__k),_.__k=[]),_.state=_.__s,_.getChildContext&&(r=K({},r,_.getChildContext())),l&&n.__c&&_.getSnapshotBeforeUpdate&&(w=_.getSnapshotBeforeUpdate(d,P)),B=c&&c.type===ne&&c.key==null?c.props.children:c,x.__P&&(c=s,a=(e=x.__P).namespaceURI,f=o=null,n.props&&n.props.__P!=e&&(n.__k.some(function(M){M&&ke(M,M)}),n.__k=null),s=n.__k?G(n,0):null),s=Le(e,ge(B)?B:[B],t,n,r,a,o,i,s,f,m),x.__P&&(t.__e=null,s=c),t.__u&=-161,b&&b.some(J),_.__h.length&&i.push(_),1&_.__g&&(_.__g&=-4)}catch(M){if(i.length=u,t.__v=null,f||o)if(M&&M.then){if(t.__u|=128|f,o){for(~(U=o.indexOf(s||void 0))||(U=o.length);(F=o[U-1])&&F.nodeType==8;)U--;for(;U<o.length;U++)if(F=o[U])if(o[U]=null,I){if(F==Q)break}else{if(F.nodeType!=8)break;F.data.startsWith("$s")&&(Q=ue(I=F))}}if(!I){for(;s&&s.nodeType==8&&s.nextSibling;)s=s.nextSibling;I=s}(c=ue(I=t.__c.__z||(t.__c.__z=I)))?(t.__e=I,s=c):t.__e=s,s=s&&s.nextSibling}else o&&o.some(J);else t.__e=n.__e;t.__k||(t.__k=n.__k||[]),M&&M.then||Ue(t),S.__e(M,t,n)}}else s=t.__e=yt(n.__e,t,n,r,a,o,i,f,m,e);return(c=S.diffed)&&c(t),s}function ue(e,t){if(e&&e.nodeType==8&&e.data.startsWith("$s"))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.startsWith("$s"))n++;else if(e.data.startsWith("/$s")&&!--n)return e}t&&t.push(e)}}function Ue(e){e&&(e.__c&&(e.__c.__g|=4),e.__k&&e.__k.some(Ue))}function Fe(e,t,n){for(var r=0;r<n.length;)xe(n[r++],n[r++],n[r++]);S.__c&&S.__c(t,e),e.some(function(a){try{e=a.__h,a.__h=[],e.some(function(o){o.call(a)})}catch(o){S.__e(o,a.__v)}})}function yt(e,t,n,r,a,o,i,s,f,m){var c,b,u,_,d,P,w,x,l=n.props||pe,y=t.props,v=t.type;if(v=="svg"?a="http://www.w3.org/2000/svg":v=="math"?a="http://www.w3.org/1998/Math/MathML":a||(a="http://www.w3.org/1999/xhtml"),o){for(c=0;c<o.length;c++)if((d=o[c])&&(v?d.localName==v:d.nodeType==3)){e=d,o[c]=null;break}}if(!e){if(x=m.ownerDocument||document,!v)return x.createTextNode(y);e=x.createElementNS(a,v,y.is?y:m),s&&(S.__m&&S.__m(t,o),s=!1),o=null}if(v){if(m=v=="template"&&e.content||e,o=v=="textarea"&&y.defaultValue!=null?null:o&&be.call(m.childNodes),!s&&o)for(l={},c=0;c<e.attributes.length;c++)l[(d=e.attributes[c]).name]=d.value;for(c in l)d=l[c],c=="dangerouslySetInnerHTML"?u=d:c=="children"||c in y||c=="value"&&"defaultValue"in y||c=="checked"&&"defaultChecked"in y||se(e,c,null,d,a);for(c in y)d=y[c],c=="children"?_=d:c=="dangerouslySetInnerHTML"?b=d:c=="value"?P=d:c=="checked"?w=d:s&&typeof d!="function"||l[c]===d||se(e,c,d,l[c],a);b?(s||u&&(b.__html==u.__html||b.__html==e.innerHTML)||(e.innerHTML=b.__html),t.__k=[]):(u&&(e.textContent=""),(v=="foreignObject"||a=="http://www.w3.org/1998/Math/MathML"&&ct.test(v))&&(a="http://www.w3.org/1999/xhtml"),Le(m,ge(_)?_:[_],t,n,r,a,o,i,o?o[0]:n.__k&&G(n,0),s,f),o&&o.some(J)),s&&v!="textarea"||(c="value",v=="progress"&&P==null?e.removeAttribute(c):P==null||P===e[c]&&(v!="progress"||P)||se(e,c,P,l[c],a),c="checked",w!=null&&w!=e[c]&&se(e,c,w,l[c],a))}else l===y||s&&e.data==y||(e.data=y);return e}function xe(e,t,n,r){try{typeof e=="function"?t?t.__x=e(t)||1:r&&(r=r.__c||r.__e)&&(t=r.__x)&&(r.__x=null,typeof t=="function"?t():e(null)):e.current=t}catch(a){S.__e(a,n)}}function ke(e,t,n){var r,a,o,i;if(S.unmount&&S.unmount(e),!(r=e.ref)||r.current&&r.current!=e.__e||xe(r,null,t,e),r=e.__c){if(r.componentWillUnmount)try{r.componentWillUnmount()}catch(s){S.__e(s,t)}r.__P=r.__n=null}if(r=e.__k)for(i=0;i<r.length;i++)r[i]&&ke(r[i],t,typeof e.type!="function"||n&&!e.props.__P);!n&&(r=e.__c)&&(r=r.__z)&&(a=ue(r,o=[]))&&(r==e.__e&&o.some(J),J(a),J(r)),n||J(e.__e),e.__e=e.__c=e.__=null}function ht(e,t,n){return this.constructor(e,n)}function mt(e,t){var n,r,a,o;S.__&&S.__(e,t),t.nodeType==9&&(t=t.documentElement),r=(n=e&&32&e.__u)?null:t.__k,t.__k=ee(ne,{children:[e]}),a=[],o=[],we(t,t.__k,r||pe,pe,t.namespaceURI,r?null:t.firstChild?be.call(t.childNodes):null,a,r?r.__e:t.firstChild,n,o),Fe(a,t.__k,o),t.__k.props.children=null}S={__e:function(e,t,n,r){for(var a,o,i;t=t.__;)if((a=t.__c)&&!(1&a.__g)){a.__g|=4;try{if((i=(o=a.constructor)&&o.getDerivedStateFromError)&&a.setState(o.getDerivedStateFromError(e)),a.componentDidCatch&&(a.componentDidCatch(e,r||{}),i=1),i&&8&a.__g)return void(a.__g|=2)}catch(s){e=s}}throw fe=0,e}},Oe=0,st=function(e){return e!=null&&e.constructor===te},ce.prototype.setState=function(e,t){var n=this.__s;n&&n!=this.state||(n=this.__s=K({},this.state)),typeof e=="function"&&(e=e(K({},n),this.props)),e&&(K(n,e),this.__v&&(t&&this.__k.push(t),Ce(this)))},ce.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.push(e),Ce(this))},ce.prototype.render=ne,z=[],fe=0,Ie=function(e,t){return e.__v.__b-t.__v.__b},ae=Symbol(),We=/(PointerCapture)$|Capture$/i,me=0,he={},at=0;var re,$,ve,je,Se=Object.is,ie=0,Ye=[],Ee=[],A=S,Be=A.__b,ze=A.__r,Ge=A.diffed,Ve=A.__c,Qe=A.unmount,Je=A.__;function Te(e,t){A.__h&&A.__h($,e,ie||t),ie=0;var n=$.__H||($.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function gt(e){return ie=1,bt(et,e)}function bt(e,t,n){var r=Te(re++,2);if(r.t=e,!r.__c&&(r.__=[n?n(t):et(void 0,t),function(o){var i=(r.__N||r.__)[0],s=r.t(i,o);Se(i,s)||(r.__N=[s,r.__[1]],r.__c.setState({}))}],r.__c=$,!$.__f)){$.__f=!0;var a=$.shouldComponentUpdate;$.shouldComponentUpdate=function(o,i,s){var f=this.__H;if(!f)return!0;var m=!1,c=this.props!=o;if(f.__.some(function(u){u.__N&&(m=!0,Se(u.__[0],u.__N[0])||(c=!0))}),a){var b=a.call(this,o,i,s);return m?b||c:b}return!m||c}}return r.__}function wt(e,t){var n=Te(re++,3);!A.__s&&Ze(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,$.__H.__h.push(n))}function xt(e){return ie=5,Ne(function(){return{current:e}},[])}function Ne(e,t){var n=Te(re++,7);return Ze(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function kt(e,t){return ie=8,Ne(function(){return e},t)}function vt(){var e;do{for(;e=Ee.shift();)try{oe(e)}catch(n){A.__e(n,{__:(e=e.__P)&&e.__v})}for(;e=Ye.shift();){var t=e.__H;if(e.__P&&t)try{t.__h.some(oe),t.__h.some(Pe),t.__h=[]}catch(n){t.__h=[],A.__e(n,e.__v)}}}while(Ee.length)}A.__b=function(e){$=null,Be&&Be(e)},A.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),Je&&Je(e,t)},A.__r=function(e){ze&&ze(e),re=0;var t=($=e.__c).__H;t&&(ve==$?$.__h=[]:(t.__h.some(oe),t.__h.some(Pe),re=0),t.__h=[],t.__.some(function(n){n.__N&&(n.__=n.__N),n.u=n.__N=void 0})),ve=$},A.diffed=function(e){Ge&&Ge(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&Xe(Ye.push(t)),t.__H.__.some(function(n){n.u&&(n.__H=n.u)})),ve=$=null},A.__c=function(e,t){t.some(function(n){try{n.__h.some(oe),n.__h=n.__h.filter(function(r){return!r.__||Pe(r)})}catch(r){n.__h=[function(){throw r}]}}),Ve&&Ve(e,t)},A.unmount=function(e){Qe&&Qe(e);var t,n,r=e.__c;r&&r.__H&&(r.__H.__.some(function(a){try{if(a.__P&&a.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||!n.__c.__P);)n=n.__;n=n&&n.__c}a.__P=n,Xe(Ee.push(a))}else oe(a)}catch(o){t=o}}),r.__H=void 0,t&&A.__e(t,r.__v))};var Ke=typeof requestAnimationFrame=="function";function St(e){var t,n=function(){clearTimeout(r),Ke&&cancelAnimationFrame(t),setTimeout(e)},r=setTimeout(n,35);Ke&&(t=requestAnimationFrame(n))}function Xe(e){e!=1&&je==A.requestAnimationFrame||((je=A.requestAnimationFrame)||St)(vt)}function oe(e){var t=$,n=e.__c;typeof n=="function"&&(e.__c=void 0,n()),$=t}function Pe(e){var t=$;e.__c=e.__(),$=t}function Ze(e,t){return!e||e.length!=t.length||t.some(function(n,r){return!Se(n,e[r])})}function et(e,t){return typeof t=="function"?t(e):t}var nt=function(e,t,n,r){var a;t[0]=0;for(var o=1;o<t.length;o++){var i=t[o++],s=t[o]?(t[0]|=i?1:2,n[t[o++]]):t[++o];i===3?r[0]=s:i===4?r[1]=Object.assign(r[1]||{},s):i===5?(r[1]=r[1]||{})[t[++o]]=s:i===6?r[1][t[++o]]+=s+"":i?(a=e.apply(s,nt(e,s,n,["",null])),r.push(a),s[0]?t[0]|=2:(t[o-2]=0,t[o]=a)):r.push(s)}return r},tt=new Map;function Et(e){var t=tt.get(this);return t||(t=new Map,tt.set(this,t)),(t=nt(this,t.get(e)||(t.set(e,t=(function(n){for(var r,a,o=1,i="",s="",f=[0],m=function(u){o===1&&(u||(i=i.replace(/^\s*\n\s*|\s*\n\s*$/g,"")))?f.push(0,u,i):o===3&&(u||i)?(f.push(3,u,i),o=2):o===2&&i==="..."&&u?f.push(4,u,0):o===2&&i&&!u?f.push(5,0,!0,i):o>=5&&((i||!u&&o===5)&&(f.push(o,0,i,a),o=6),u&&(f.push(o,u,0,a),o=6)),i=""},c=0;c<n.length;c++){c&&(o===1&&m(),m(c));for(var b=0;b<n[c].length;b++)r=n[c][b],o===1?r==="<"?(m(),f=[f],o=3):i+=r:o===4?i==="--"&&r===">"?(o=1,i=""):i=r+i[0]:s?r===s?s="":i+=r:r==='"'||r==="'"?s=r:r===">"?(m(),o=1):o&&(r==="="?(o=5,a=i,i=""):r==="/"&&(o<5||n[c][b+1]===">")?(m(),o===3&&(f=f[0]),o=f,(f=f[0]).push(2,0,o),o=0):r===" "||r==="	"||r===`
`||r==="\r"?(m(),o=2):i+=r),o===3&&i==="!--"&&(o=4,f=f[0])}return m(),f})(e)),t),arguments,[])).length>1?t:t[0]}function O(e){return e===null?"null":Array.isArray(e)?"array":typeof e}function V(e){return O(e)==="object"}function Pt(e){return Array.isArray(e)&&e.length>0&&e.every(t=>"message"in t)}function Ae(e,t){return e.length<124?e:t}var ot="graphql-transport-ws";var W=(e=>(e[e.InternalServerError=4500]="InternalServerError",e[e.InternalClientError=4005]="InternalClientError",e[e.BadRequest=4400]="BadRequest",e[e.BadResponse=4004]="BadResponse",e[e.Unauthorized=4401]="Unauthorized",e[e.Forbidden=4403]="Forbidden",e[e.SubprotocolNotAcceptable=4406]="SubprotocolNotAcceptable",e[e.ConnectionInitialisationTimeout=4408]="ConnectionInitialisationTimeout",e[e.ConnectionAcknowledgementTimeout=4504]="ConnectionAcknowledgementTimeout",e[e.SubscriberAlreadyExists=4409]="SubscriberAlreadyExists",e[e.TooManyInitialisationRequests=4429]="TooManyInitialisationRequests",e))(W||{}),D=(e=>(e.ConnectionInit="connection_init",e.ConnectionAck="connection_ack",e.Ping="ping",e.Pong="pong",e.Subscribe="subscribe",e.Next="next",e.Error="error",e.Complete="complete",e))(D||{});function rt(e){if(!V(e))throw new Error(`Message is expected to be an object, but got ${O(e)}`);if(!e.type)throw new Error("Message is missing the 'type' property");if(typeof e.type!="string")throw new Error(`Message is expects the 'type' property to be a string, but got ${O(e.type)}`);switch(e.type){case"connection_init":case"connection_ack":case"ping":case"pong":{if(e.payload!=null&&!V(e.payload))throw new Error(`"${e.type}" message expects the 'payload' property to be an object or nullish or missing, but got "${e.payload}"`);break}case"subscribe":{if(typeof e.id!="string")throw new Error(`"${e.type}" message expects the 'id' property to be a string, but got ${O(e.id)}`);if(!e.id)throw new Error(`"${e.type}" message requires a non-empty 'id' property`);if(!V(e.payload))throw new Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${O(e.payload)}`);if(typeof e.payload.query!="string")throw new Error(`"${e.type}" message payload expects the 'query' property to be a string, but got ${O(e.payload.query)}`);if(e.payload.variables!=null&&!V(e.payload.variables))throw new Error(`"${e.type}" message payload expects the 'variables' property to be a an object or nullish or missing, but got ${O(e.payload.variables)}`);if(e.payload.operationName!=null&&O(e.payload.operationName)!=="string")throw new Error(`"${e.type}" message payload expects the 'operationName' property to be a string or nullish or missing, but got ${O(e.payload.operationName)}`);if(e.payload.extensions!=null&&!V(e.payload.extensions))throw new Error(`"${e.type}" message payload expects the 'extensions' property to be a an object or nullish or missing, but got ${O(e.payload.extensions)}`);break}case"next":{if(typeof e.id!="string")throw new Error(`"${e.type}" message expects the 'id' property to be a string, but got ${O(e.id)}`);if(!e.id)throw new Error(`"${e.type}" message requires a non-empty 'id' property`);if(!V(e.payload))throw new Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${O(e.payload)}`);break}case"error":{if(typeof e.id!="string")throw new Error(`"${e.type}" message expects the 'id' property to be a string, but got ${O(e.id)}`);if(!e.id)throw new Error(`"${e.type}" message requires a non-empty 'id' property`);if(!Pt(e.payload))throw new Error(`"${e.type}" message expects the 'payload' property to be an array of GraphQL errors, but got ${JSON.stringify(e.payload)}`);break}case"complete":{if(typeof e.id!="string")throw new Error(`"${e.type}" message expects the 'id' property to be a string, but got ${O(e.id)}`);if(!e.id)throw new Error(`"${e.type}" message requires a non-empty 'id' property`);break}default:throw new Error(`Invalid message 'type' property "${e.type}"`)}return e}function it(e,t){return rt(typeof e=="string"?JSON.parse(e,t):e)}function Z(e,t){return rt(e),JSON.stringify(e,t)}function Tt(e){let{url:t,connectionParams:n,lazy:r=!0,onNonLazyError:a=console.error,lazyCloseTimeout:o=0,keepAlive:i=0,disablePong:s,connectionAckWaitTimeout:f=0,retryAttempts:m=5,retryWait:c=async function(E){let p=Math.pow(2,E);await new Promise(k=>setTimeout(k,p*1e3+Math.floor(Math.random()*2700+300)))},shouldRetry:b=$e,on:u,webSocketImpl:_,generateID:d=function(){return"xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/[xy]/g,E=>{let p=Math.random()*16|0;return(E=="x"?p:p&3|8).toString(16)})},jsonMessageReplacer:P,jsonMessageReviver:w}=e,x;if(_){if(!At(_))throw new Error("Invalid WebSocket implementation provided");x=_}else typeof WebSocket<"u"?x=WebSocket:typeof global<"u"?x=global.WebSocket||global.MozWebSocket:typeof window<"u"&&(x=window.WebSocket||window.MozWebSocket);if(!x)throw new Error("WebSocket implementation missing; on Node you can `import WebSocket from 'ws';` and pass `webSocketImpl: WebSocket` to `createClient`");let l=x,y=(()=>{let h=(()=>{let p={};return{on(k,T){return p[k]=T,()=>{delete p[k]}},emit(k){"id"in k&&p[k.id]?.(k)}}})(),E={connecting:u?.connecting?[u.connecting]:[],opened:u?.opened?[u.opened]:[],connected:u?.connected?[u.connected]:[],ping:u?.ping?[u.ping]:[],pong:u?.pong?[u.pong]:[],message:u?.message?[h.emit,u.message]:[h.emit],closed:u?.closed?[u.closed]:[],error:u?.error?[u.error]:[]};return{onMessage:h.on,on(p,k){let T=E[p];return T.push(k),()=>{let N=T.indexOf(k);N>-1&&T.splice(N,1)}},emit(p,...k){for(let T of[...E[p]])T(...k)}}})();function v(h){let E=[y.on("error",p=>{E.forEach(k=>k()),h(p)}),y.on("closed",p=>{E.forEach(k=>k()),h(p)})];return()=>E.forEach(p=>p())}let L,q=0,B,I=!1,Q=0,U=!1;async function F(){clearTimeout(B);let[h,E]=await(L??(L=new Promise((T,N)=>(async()=>{if(I){if(await c(Q),!q)return L=void 0,N({code:1e3,reason:"All Subscriptions Gone"});Q++}y.emit("connecting",I);let g=new l(typeof t=="function"?await t():t,ot),j,X;function _e(){isFinite(i)&&i>0&&(clearTimeout(X),X=setTimeout(()=>{g.readyState===l.OPEN&&(g.send(Z({type:D.Ping})),y.emit("ping",!1,void 0))},i))}v(C=>{L=void 0,clearTimeout(j),clearTimeout(X),N(C),C instanceof de&&(g.close(4499,"Terminated"),g.onerror=null,g.onclose=null)}),g.onerror=C=>y.emit("error",C),g.onclose=C=>y.emit("closed",C),g.onopen=async()=>{try{y.emit("opened",g);let C=typeof n=="function"?await n():n;if(g.readyState!==l.OPEN)return;g.send(Z(C?{type:D.ConnectionInit,payload:C}:{type:D.ConnectionInit},P)),isFinite(f)&&f>0&&(j=setTimeout(()=>{g.close(W.ConnectionAcknowledgementTimeout,"Connection acknowledgement timeout")},f)),_e()}catch(C){y.emit("error",C),g.close(W.InternalClientError,Ae(C instanceof Error?C.message:String(C),"Internal client error"))}};let Y=!1;g.onmessage=({data:C})=>{try{let R=it(C,w);if(y.emit("message",R),R.type==="ping"||R.type==="pong"){y.emit(R.type,!0,R.payload),R.type==="pong"?_e():s||(g.send(Z(R.payload?{type:D.Pong,payload:R.payload}:{type:D.Pong},P)),y.emit("pong",!1,R.payload));return}if(Y)return;if(R.type!==D.ConnectionAck)throw new Error(`First message cannot be of type ${R.type}`);clearTimeout(j),Y=!0,y.emit("connected",g,R.payload,I),I=!1,Q=0;let Re=new Promise(($t,_t)=>v(_t));Re.catch(()=>{}),T([g,Re])}catch(R){g.onmessage=null,y.emit("error",R),g.close(W.BadResponse,Ae(R instanceof Error?R.message:String(R),"Bad response"))}}})())));h.readyState===l.CLOSING&&await E;let p=()=>{},k=new Promise(T=>p=T);return[h,p,new Promise((T,N)=>{let g=v(N);h.readyState!==l.OPEN&&E.catch(N),k.then(()=>{if(g(),!q){let j=()=>h.close(1e3,"Normal Closure");isFinite(o)&&o>0?(clearTimeout(B),B=setTimeout(()=>{!q&&h.readyState===l.OPEN&&j()},o)):j()}T()})})]}function H(h){if($e(h)&&(Nt(h.code)||[W.InternalServerError,W.InternalClientError,W.BadRequest,W.BadResponse,W.Unauthorized,W.SubprotocolNotAcceptable,W.SubscriberAlreadyExists,W.TooManyInitialisationRequests].includes(h.code)))throw h;if(U)return!1;if($e(h)&&h.code===1e3)return q>0;if(!m||Q>=m||!b(h))throw h;return I=!0}r||(async()=>{for(q++;;)try{let[,,h]=await F();await h}catch(h){try{if(!H(h))return}catch(E){return a?.(E)}}})();function M(h,E){let p=d(h),k=!1,T=!1,N=()=>{q--,k=!0};return(async()=>{for(q++;;)try{let[g,j,X]=await F();if(k)return X.catch(()=>{}),j();let _e=y.onMessage(p,Y=>{switch(Y.type){case D.Next:{E.next(Y.payload);return}case D.Error:{T=!0,k=!0,E.error(Y.payload),N();return}case D.Complete:{k=!0,N();return}}});g.send(Z({id:p,type:D.Subscribe,payload:h},P)),N=()=>{!k&&g.readyState===l.OPEN&&g.send(Z({id:p,type:D.Complete},P)),q--,k=!0,j()},await X.finally(_e);return}catch(g){if(!H(g))return}})().then(()=>{T||E.complete()}).catch(g=>{E.error(g)}),()=>{k||N()}}return{on:y.on,subscribe:M,iterate(h){let E=[],p={done:!1,error:null,resolve:()=>{}},k=M(h,{next(N){E.push(N),p.resolve()},error(N){p.done=!0,p.error=N,p.resolve()},complete(){p.done=!0,p.resolve()}}),T=(async function*(){for(;;){for(E.length||await new Promise(g=>p.resolve=g);E.length;)yield E.shift();if(p.error)throw p.error;if(p.done)return}})();return T.throw=async N=>(p.done||(p.done=!0,p.error=N,p.resolve()),{done:!0,value:void 0}),T.return=async()=>(k(),{done:!0,value:void 0}),T},async dispose(){if(U=!0,L){let[h]=await L;h.close(1e3,"Normal Closure")}},terminate(){L&&y.emit("closed",new de)}}}var de=class extends Error{name="TerminatedCloseEvent";message="4499: Terminated";code=4499;reason="Terminated";wasClean=!1};function $e(e){return V(e)&&"code"in e&&"reason"in e}function Nt(e){return[1e3,1001,1006,1005,1012,1013,1014].includes(e)?!1:e>=1e3&&e<=1999}function At(e){return typeof e=="function"&&"constructor"in e&&"CLOSED"in e&&"CLOSING"in e&&"CONNECTING"in e&&"OPEN"in e}export{ne as Fragment,Tt as createClient,ut as h,Et as htm,mt as render,kt as useCallback,wt as useEffect,Ne as useMemo,xt as useRef,gt as useState};
